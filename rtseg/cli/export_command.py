"""`rtseg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, json_option, named_network, network_options, resolution_option
from rtseg.cli.preprocessing_options import own_network_options, preprocessing
from rtseg.specs import INTERFACES, TARGETS, Resolution


@click.command()
@network_options
@resolution_option()
@click.option("--interface", type=click.Choice(INTERFACES), default="logits", show_default=True)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="onnxruntime",
    show_default=True,
    help="The runtime that the network is written for; tensorrt also for TensorRT for RTX.",
)
@own_network_options
@click.option("-o", "output", type=ANY_PATH, help="The file.  [NETWORK-CLASSES-HxW.onnx]")
@click.option("--data", default="streets", show_default=True, help="Whose pictures the parity check runs on.")
@click.option("--split", default="val", show_default=True)
@click.option("--images", type=click.IntRange(0), default=2, show_default=True, help="How many of them.")
@json_option
def export(
    network: str | None,
    factory: str | None,
    checkpoint: Path | None,
    entry: str | None,
    classes: str | None,
    options: tuple[tuple[str, str], ...],
    seed: int,
    resolution: Resolution,
    interface: str,
    target: str,
    head: str | None,
    threshold: float | None,
    output: Path | None,
    data: str,
    split: str,
    images: int,
    as_json: bool,
    **pixels: Any,
) -> None:
    """Write a network as ONNX, proven equal to PyTorch.

    The file gets its name only after ONNX Runtime and PyTorch agree on it.

    \b
    logits  float32 NCHW in, logits at the head's own stride out (the fastest whole frame)
    scores  float32 NCHW in, full-resolution scores out (the papers' timing boundary)
    labels  uint8 NHWC in, uint8 label map out (self-contained)

    \b
    Example: rtseg export affnet --resolution 512x1024 -o affnet.onnx
    Example: rtseg export --module mine:net --checkpoint mine.pth --classes 5 --resolution 512x1024
    """
    import rtseg
    from rtseg.cli.show.export_text import export_text

    with watched() as observer:
        result = rtseg.export(
            named_network(network, factory),
            resolution,
            output,
            checkpoint=checkpoint,
            entry=entry,
            classes=classes,
            options=dict(options),
            interface=interface,
            target=target,
            head=head,
            threshold=threshold,
            **preprocessing(**pixels),
            data=data,
            split=split,
            images=images,
            seed=seed,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
    else:
        say(export_text(result.artifact, f"{result.pictures} pictures of {result.data}"))
        click.echo(result.artifact.path)
