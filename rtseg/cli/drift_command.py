"""`rtseg drift`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, table_console, watched
from rtseg.cli.options import DATASETS, file_argument, json_option, split_option, threads_option


@click.command()
@file_argument("reference", metavar="A")
@file_argument("other", metavar="B")
@click.option(
    "--data",
    default="streets",
    metavar="DATASET",
    help=f"{DATASETS}; or images:DIR, without labels.  [default: streets]",
)
@split_option
@click.option(
    "--images", type=click.IntRange(1), default=2, metavar="N", help="Use the first N pictures.  [default: 2]"
)
@click.option("--top", type=click.IntRange(1), default=10, metavar="N", help="Layers in the table.  [default: 10]")
@click.option(
    "--threshold",
    type=click.FloatRange(0),
    metavar="PERCENT",
    help="Also name the first layer with a larger error.",
)
@threads_option
@json_option
def drift(
    reference: Path,
    other: Path,
    data: str,
    split: str,
    images: int,
    top: int,
    threshold: float | None,
    threads: int,
    as_json: bool,
) -> None:
    """Find the layers where two files drift apart.

    A is the reference, such as the FP32 file; B is the same network in FP16 or INT8. Each layer of B also runs on A's
    values: this gives the error that the layer adds by itself. The layers that add most come first. An error is the
    root mean square of the difference, divided by the root mean square of A's values.

    The layers run on the CPU with ONNX Runtime. If A or B is an engine, which needs a GPU, or a model for OpenVINO,
    only the outputs are compared. This command needs the extra rtseg[report].

    \b
    Examples:
      rtseg export affnet --classes streets --resolution 64x96 -o affnet.onnx
      rtseg quantize affnet.onnx --to fp16
      rtseg drift affnet.onnx affnet.fp16.onnx --threshold 1
    """
    import rtseg
    from rtseg.cli.show.drift_text import print_drift

    with watched() as observer:
        result = rtseg.drift(
            reference,
            other,
            data=data,
            split=split,
            images=images,
            threshold=None if threshold is None else threshold / 100,
            threads=threads,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
    else:
        print_drift(result.to_json(), table_console(), top=top)
