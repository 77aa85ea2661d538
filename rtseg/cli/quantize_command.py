"""`rtseg quantize`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, onnx_runner_option, threads_option
from rtseg.specs import TARGETS


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option("--table", "table_path", type=ANY_PATH, help="Ranges from rtseg calibrate, which INT8 needs.")
@click.option("--to", "precision", type=click.Choice(("int8", "fp16")), required=True)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="tensorrt",
    show_default=True,
    help="Runtime that will execute the INT8 file.",
)
@click.option(
    "--exclude", "patterns", multiple=True, metavar="PATTERN", help="Operators or modules to leave alone: '*/fusion/*'."
)
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), metavar="POINTS", help="Keep out of INT8 what loses more mIoU."
)
@click.option("--data", help="With --max-drop: the labelled pictures the drop is measured on.")
@click.option("--split", default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures.")
@onnx_runner_option
@click.option(
    "-o",
    "output",
    type=ANY_PATH,
    help="The file.  [NAME.fp16.onnx, NAME.int8.onnx or NAME.int8-TARGET.onnx]",
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

    INT8 is QuantizeLinear and DequantizeLinear where the target's kernels want them, symmetric, weights by channel; the
    rest stays FP32 in the file and becomes FP16 in an engine. The command says what share of the work became INT8, and
    fails where nothing would.

    With --max-drop the drop of mIoU is measured against FP32. Where it is larger than that, each block of the network
    is measured alone, and a set of blocks is kept out of INT8 that holds the budget and costs as little work as can
    be. Nothing is written where none does.

    \b
    Example: rtseg quantize affnet.onnx --table affnet.json --to int8
    Example: rtseg quantize affnet.onnx --table affnet.json --to int8 --max-drop 0.5 --data camvid:CamVid
    Example: rtseg quantize affnet.onnx --to fp16 --exclude /network/fusion
    """
    if precision == "int8" and table_path is None:
        raise click.UsageError("INT8 needs --table, which rtseg calibrate writes")
    if (max_drop is None) != (data is None):
        raise click.UsageError("--max-drop and --data go together")
    if max_drop is None and limit is not None:
        raise click.UsageError("--limit requires --max-drop")
    if max_drop is not None and precision != "int8":
        raise click.UsageError("--max-drop chooses what stays out of INT8; rtseg validate --max-drop checks FP16")
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
