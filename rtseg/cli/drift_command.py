"""`rtseg drift`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, table_console, watched
from rtseg.cli.options import file_argument, json_option, threads_option


@click.command()
@file_argument("reference", metavar="A")
@file_argument("other", metavar="B")
@click.option(
    "--data",
    default="streets",
    show_default=True,
    help="Pictures: camvid:PATH, cityscapes:PATH, voc:PATH, streets or images:PATH.",
)
@click.option("--split", default="val", show_default=True)
@click.option("--images", type=click.IntRange(1), default=2, show_default=True, help="So many pictures, the first.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="So many layers in the table.")
@click.option(
    "--threshold",
    type=click.FloatRange(0),
    metavar="PERCENT",
    help="Also name the first layer whose error is larger than that.",
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

    A is the reference, such as the FP32 file, and B its twin in FP16 or INT8. Each layer of B is run on A's values too:
    what it then gives is what it adds to the error by itself, and the layers that add most come first. Errors are the
    root mean square of the difference over that of A's values. The layers run on the CPU with ONNX Runtime; where A or
    B is an engine, which takes a GPU, or a model of OpenVINO, only the outputs are compared. Needs rtseg[report].

    \b
    Example: rtseg drift affnet.onnx affnet.int8.onnx --data camvid:CamVid
    Example: rtseg drift affnet.onnx affnet.fp16.onnx --threshold 1 --json
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
