"""`rtseg validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, table_console, watched
from rtseg.cli.options import (
    ANY_PATH,
    DATASETS,
    file_argument,
    json_option,
    limit_option,
    runner_option,
    split_option,
    threads_option,
)
from rtseg.runners.registry import runner_names


@click.command()
@file_argument("artifact")
@click.option("--against", type=ANY_PATH, metavar="B", help="Reference file, such as the FP32 one.")
@click.option("--data", required=True, metavar="DATASET", help=f"{DATASETS}; or images:DIR, without labels.")
@split_option
@limit_option
@runner_option
@click.option(
    "--against-runner",
    type=click.Choice(runner_names()),
    metavar="NAME",
    help="Runtime for B.  [default: that of --runner, if it takes B]",
)
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), metavar="POINTS", help="Fail if the mIoU drops by more points."
)
@click.option("--min-agreement", type=click.FloatRange(0, 100), metavar="PERCENT", help="Fail if fewer pixels agree.")
@threads_option
@json_option
def validate(
    artifact: Path,
    against: Path | None,
    data: str,
    split: str,
    limit: int | None,
    runner: str | None,
    against_runner: str | None,
    max_drop: float | None,
    min_agreement: float | None,
    threads: int,
    as_json: bool,
) -> None:
    """Measure mIoU, alone or against another file.

    All pictures count in one confusion matrix, at the resolution of the labels. Void pixels do not count.

    With --against, both files see the same pictures. The result shows the differences with 95 % intervals, and the
    share of pixels on which the label maps agree, also near borders. Thin classes, most of whose pixels are near a
    border, come first. images:DIR has no labels, so there
    only the agreement is measured. If the result misses --max-drop or --min-agreement, the exit code is 1.

    \b
    Examples:
      rtseg export --checkpoint export/checkpoints/affnet-streets.safetensors \\
        --resolution 128x256 -o affnet.onnx
      rtseg validate affnet.onnx --data streets --limit 10
      rtseg validate affnet.onnx --against affnet.onnx --against-runner openvino \\
        --data streets --limit 10 --max-drop 0.5
    """
    if against is None and (max_drop is not None or min_agreement is not None or against_runner is not None):
        raise click.UsageError("--max-drop, --min-agreement and --against-runner need --against")
    import rtseg
    from rtseg.cli.show.accuracy_text import print_accuracy
    from rtseg.cli.show.comparison_text import print_comparison

    with watched() as observer:
        settings: dict[str, Any] = {"split": split, "limit": limit, "threads": threads, "observer": observer}
        if against is None:
            alone = rtseg.validate(artifact, data, runner=runner, **settings)
        else:
            beside = rtseg.validate(
                artifact,
                data,
                against=against,
                runner=runner,
                against_runner=against_runner,
                max_drop=max_drop,
                min_agreement=min_agreement,
                **settings,
            )
    result = alone if against is None else beside
    if as_json:
        print_json(result.to_json())
    elif against is None:
        print_accuracy(result.to_json(), table_console())
    else:
        print_comparison(result.to_json(), table_console())
    if against is not None:
        beside.require()
