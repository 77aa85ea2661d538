"""`rtseg sensitivity`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, onnx_runner_option, threads_option
from rtseg.specs import TARGETS


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
    type=click.Choice(TARGETS),
    default="tensorrt",
    show_default=True,
    help="Runtime that will execute the INT8 file.",
)
@click.option("--blocks", type=click.IntRange(1), default=20, show_default=True, help="At least so many blocks.")
@click.option("--exclude", "patterns", multiple=True, metavar="PATTERN", help="Operators or modules to leave alone.")
@onnx_runner_option
@click.option("-o", "output", type=ANY_PATH, help="Also write the figures as JSON.")
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
    import rtseg
    from rtseg.artifacts.files import require_writable, write_text_atomically
    from rtseg.artifacts.manifest import require_separate
    from rtseg.cli.show.sensitivity_text import print_sensitivity, require_plot, sensitivity_plot

    if output is not None:
        require_separate(output, artifact, table_path)
        require_writable(output)
    if plot is not None:
        require_separate(plot, artifact, table_path, output)
        require_plot(plot)
    with watched() as observer:
        result = rtseg.sensitivity(
            artifact,
            table_path,
            data,
            split=split,
            limit=limit,
            target=target,
            blocks=blocks,
            exclude=patterns,
            runner=runner,
            threads=threads,
            observer=observer,
        )
    facts = result.to_json()
    if plot is not None:
        sensitivity_plot(facts, plot)
        say(f"drew {plot}")
    if output is not None:
        write_text_atomically(output, json.dumps(facts, indent=2) + "\n")
        say(f"wrote {output}")
    if as_json:
        print_json(facts)
    else:
        print_sensitivity(facts, table_console())
