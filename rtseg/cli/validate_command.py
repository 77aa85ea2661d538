"""`rtseg validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, table_console, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, runner_option, threads_option
from rtseg.runners.registry import runner_names


@click.command()
@file_argument("artifact")
@click.option("--against", type=ANY_PATH, metavar="B", help="The file it has to keep up with, such as the FP32 one.")
@click.option(
    "--data", required=True, help="camvid:PATH, cityscapes:PATH, voc:PATH, streets; images:PATH is unlabelled."
)
@click.option("--split", default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures.")
@runner_option
@click.option("--against-runner", type=click.Choice(runner_names()), help="What runs B.  [as --runner, if it can]")
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), metavar="POINTS", help="Fail when more mIoU is lost than that."
)
@click.option("--min-agreement", type=click.FloatRange(0, 100), metavar="PERCENT", help="Fail when fewer pixels agree.")
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

    All pictures count in one confusion matrix, at the labels' own resolution; void does not count.

    With --against both files see the same pictures: the differences come with 95 % intervals, thin classes first,
    and how far the label maps agree, near borders too. --max-drop and --min-agreement make it a gate: beyond them
    the exit code is 1. On images:PATH, which has no labels, agreement alone is measured.

    \b
    Example: rtseg validate affnet.onnx --data camvid:CamVid --split val
    Example: rtseg validate affnet.int8.onnx --against affnet.onnx --data camvid:CamVid --max-drop 0.5
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
