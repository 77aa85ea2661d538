"""`rtseg quantize`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, watched
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
@click.option("--table", "table_path", type=ANY_PATH, metavar="JSON", help="Table of rtseg calibrate, for INT8.")
@click.option("--to", "precision", type=click.Choice(("int8", "fp16")), required=True, help="Precision to write.")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="tensorrt",
    help="Runtime that will execute the INT8 file.  [default: tensorrt]",
)
@click.option(
    "--exclude",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Operators or modules to leave as they are, such as '*/fusion/*'; may be repeated.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="Largest drop of mIoU that INT8 may cause, in points.",
)
@click.option("--data", metavar="DATASET", help=f"Labelled pictures for --max-drop: {DATASETS}.")
@split_option
@limit_option
@onnx_runner_option
@click.option(
    "-o",
    "output",
    type=ANY_PATH,
    metavar="FILE",
    help="File to write.  [default: NAME.fp16.onnx, NAME.int8.onnx or NAME.int8-TARGET.onnx]",
)
@threads_option
@json_option
def quantize(
    artifact: Path,
    table_path: Path | None,
    precision: str,
    target: str,
    patterns: tuple[str, ...],
    max_drop: float | None,
    data: str | None,
    split: str,
    limit: int | None,
    runner: str,
    output: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Write an ONNX file as INT8 or FP16.

    The precision is explicit in the graph.

    For INT8, the command places QuantizeLinear and DequantizeLinear where the kernels of --target use them. They are
    symmetric, with one scale for each channel of the weights. All other operators stay FP32 in the file and become
    FP16 in an engine. The command prints the share of the multiply-accumulates that became INT8, and fails if nothing
    did.

    With --max-drop, the command measures the drop of mIoU against FP32. If the drop is too large, it measures each
    block of the network alone. It then leaves the cheapest set of blocks that meets the limit in floating point. If no
    set meets it, nothing is written.

    \b
    Examples:
      rtseg export --checkpoint export/checkpoints/affnet-streets.safetensors \\
        --resolution 360x480 -o affnet.onnx
      rtseg quantize affnet.onnx --to int8 \\
        --table calibration/affnet-streets-360x480.table.json
      rtseg quantize affnet.onnx --to fp16 --exclude /network/fusion
    """
    if precision == "int8" and table_path is None:
        raise click.UsageError("INT8 needs --table, which rtseg calibrate writes")
    if (max_drop is None) != (data is None):
        raise click.UsageError("--max-drop and --data go together")
    if max_drop is None and limit is not None:
        raise click.UsageError("--limit requires --max-drop")
    if max_drop is not None and precision != "int8":
        raise click.UsageError("--max-drop is for INT8; use rtseg validate --max-drop to check FP16")
    import rtseg
    from rtseg.cli.show.quantization_text import quantization_text

    with watched() as observer:
        result = rtseg.quantize(
            artifact,
            table_path,
            output,
            to=precision,
            target=target,
            exclude=patterns,
            max_drop=max_drop,
            data=data,
            split=split,
            limit=limit,
            runner=runner,
            threads=threads,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
    else:
        say(quantization_text(result.artifact.manifest))
        click.echo(result.artifact.path)
