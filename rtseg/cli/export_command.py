"""`rtseg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import (
    ANY_PATH,
    DATASETS,
    json_option,
    named_network,
    network_options,
    resolution_option,
    split_option,
    unbroken,
)
from rtseg.cli.preprocessing_options import own_network_options, preprocessing
from rtseg.specs import INTERFACES, TARGETS, Resolution


@click.command()
@network_options
@resolution_option()
@click.option(
    "--interface",
    type=click.Choice(INTERFACES),
    default="logits",
    help="What the file takes and gives, see above.  [default: logits]",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="onnxruntime",
    help="Runtime that will execute the file; tensorrt includes TensorRT for RTX.  [default: onnxruntime]",
)
@own_network_options
@click.option(
    "-o", "output", type=ANY_PATH, metavar="FILE", help=unbroken("File to write.  [default: NETWORK-CLASSES-HxW.onnx]")
)
@click.option(
    "--data",
    default="streets",
    metavar="DATASET",
    help=f"Pictures for the check against PyTorch: {DATASETS}.  [default: streets]",
)
@split_option
@click.option(
    "--images", type=click.IntRange(0), default=2, metavar="N", help="Check on the first N pictures.  [default: 2]"
)
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

    The file is written only after ONNX Runtime and PyTorch agree on it. NETWORK is a name that rtseg networks lists.
    Without it, --module names your own network, or the checkpoint says which network it is.

    \b
    --interface logits  float32 NCHW -> logits at the head's own stride; the
                        fastest whole frame
    --interface scores  float32 NCHW -> full-resolution scores; what papers time
    --interface labels  uint8 NHWC -> uint8 label map; self-contained

    Some networks have one form that is fast on a CPU and another that is fast on a GPU. Use --target tensorrt for files
    that become engines: it writes the form for GPUs. Both forms give the same logits up to rounding.

    \b
    Examples:
      rtseg export affnet --resolution 128x256 --target tensorrt
      rtseg export --checkpoint export/checkpoints/affnet-streets.safetensors \\
        --resolution 128x256 -o affnet.onnx
      rtseg export haff --classes 5 --resolution 128x256 --interface labels
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
