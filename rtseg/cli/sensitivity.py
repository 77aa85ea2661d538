"""`rtseg sensitivity`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rtseg.cli.console import counted, print_json, say, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option, onnx_runner_option, threads_option


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option("--table", "table_path", type=ANY_PATH, required=True, help="Ranges from rtseg calibrate.")
@click.option(
    "--data", required=True, help="camvid:PATH, cityscapes:PATH, voc:PATH, streets; images:PATH is unlabelled."
)
@click.option("--split", default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures.")
@click.option(
    "--target",
    type=click.Choice(("tensorrt", "onnxruntime", "openvino")),
    default="tensorrt",
    show_default=True,
    help="Whose kernels the INT8 is placed for.",
)
@click.option("--blocks", type=click.IntRange(1), default=20, show_default=True, help="At least so many blocks.")
@click.option("--exclude", "patterns", multiple=True, metavar="PATTERN", help="Operators or modules to leave alone.")
@onnx_runner_option
@click.option("-o", "--output", type=ANY_PATH, help="Also write the figures as JSON.")
@click.option("--plot", type=ANY_PATH, help="Also draw them: PNG, SVG or PDF by the suffix.  [extra: report]")
@threads_option
@json_option
def sensitivity(
    artifact: Path,
    table_path: Path,
    data: str,
    split: str,
    limit: int | None,
    target: str,
    blocks: int,
    patterns: tuple[str, ...],
    runner: str,
    output: Path | None,
    plot: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Measure what each block loses when it alone is INT8.

    Blocks are modules of the network, cut where the work is. The loss is that of mIoU against FP32, or without labels
    the share of pixels that change. A block's name says what to exclude: rtseg quantize --exclude '*/down/down.0/*'.

    \b
    Example: rtseg sensitivity affnet.onnx --table affnet.json --data camvid:CamVid --plot affnet.png
    """
    from rtseg.artifacts import require_writable, write_text_atomically
    from rtseg.calibration.calibrate import require_no_input
    from rtseg.datasets.registry import is_labelled, open_dataset, open_pictures
    from rtseg.graphs.view import GraphView
    from rtseg.quantize.exclusion import matching_operators
    from rtseg.quantize.files import read_original, read_table
    from rtseg.report.sensitivity import require_plot, sensitivity_plot, sensitivity_text
    from rtseg.sensitivity.analysis import analyse
    from rtseg.sensitivity.trial import Trials

    if output is not None:
        require_no_input(output, artifact, table_path)
        require_writable(output)
    if plot is not None:
        require_no_input(plot, artifact, table_path, output)
        require_plot(plot)
    original = read_original(artifact)
    table = read_table(table_path, original)
    excluded = matching_operators(GraphView(original.model), patterns)
    labelled = is_labelled(data)
    pictures = open_dataset(data, split) if labelled else open_pictures(data, split)
    with counted("running FP32") as progress:
        trials = Trials(
            original,
            table,
            pictures,
            target=target,
            runner=runner,
            excluded=excluded,
            limit=limit,
            threads=threads,
            progress=progress,
        )
    with counted("trying the blocks") as progress:
        result = analyse(trials, count=blocks, progress=progress)
    facts = {
        "artifact": str(artifact),
        "network": original.manifest.network,
        "resolution": str(original.manifest.image.resolution),
        "data": data.partition(":")[0],
        "split": split if labelled else None,
        "runner": runner,
        "device": trials.device,
        **result.to_json(),
    }
    if plot is not None:
        sensitivity_plot(facts, plot)
        say(f"drew {plot}")
    if output is not None:
        write_text_atomically(output, json.dumps(facts, indent=2) + "\n")
        say(f"wrote {output}")
    if as_json:
        print_json(facts)
    else:
        sensitivity_text(facts, table_console())
