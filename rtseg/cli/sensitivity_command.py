"""`rtseg sensitivity`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import (
    ANY_PATH,
    DATASETS,
    file_argument,
    json_option,
    limit_option,
    onnx_runner_option,
    split_option,
    threads_option,
)
from rtseg.specs import TARGETS


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option("--table", "table_path", type=ANY_PATH, metavar="JSON", required=True, help="Table of rtseg calibrate.")
@click.option("--data", required=True, metavar="DATASET", help=f"{DATASETS}; or images:DIR, without labels.")
@split_option
@limit_option
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="tensorrt",
    help="Runtime that will execute the INT8 file.  [default: tensorrt]",
)
@click.option(
    "--blocks", type=click.IntRange(1), default=20, metavar="N", help="Smallest number of blocks.  [default: 20]"
)
@click.option(
    "--exclude",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Operators or modules to leave as they are; may be repeated.",
)
@onnx_runner_option
@click.option("-o", "output", type=ANY_PATH, metavar="FILE", help="Also write the result as JSON.")
@click.option(
    "--plot", type=ANY_PATH, metavar="FILE", help="Also draw it: .png, .svg or .pdf. Needs the extra rtseg[report]."
)
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

    Blocks are modules of the network; those with the most work are divided further. The loss is the drop of mIoU
    against FP32, or, without labels, the share of pixels that change. To keep a block out of INT8, pass its name to
    rtseg quantize, such as --exclude '*/down/down.0/*'.

    \b
    Examples:
      rtseg export --checkpoint export/checkpoints/affnet-streets.safetensors \\
        --resolution 360x480 -o affnet.onnx
      rtseg sensitivity affnet.onnx --data streets --limit 2 --blocks 5 \\
        --table calibration/affnet-streets-360x480.table.json
      rtseg sensitivity affnet.onnx --data images:export/checkpoints \\
        --table calibration/affnet-streets-360x480.table.json --blocks 5
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
