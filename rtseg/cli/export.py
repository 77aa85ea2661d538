"""`rtseg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say
from rtseg.cli.options import ANY_PATH, json_option, network_options, resolution_option, selected_network
from rtseg.specs import INTERFACES, Resolution


@click.command()
@network_options
@resolution_option()
@click.option("--interface", type=click.Choice(INTERFACES), default="logits", show_default=True)
@click.option("-o", "--output", type=ANY_PATH, help="The file.  [NETWORK-CLASSES-HxW.onnx]")
@click.option("--data", default="streets", show_default=True, help="Whose pictures the parity check runs on.")
@click.option("--split", default="val", show_default=True)
@click.option("--images", "count", type=click.IntRange(0), default=2, show_default=True, help="How many of them.")
@json_option
def export(
    resolution: Resolution,
    interface: str,
    output: Path | None,
    data: str,
    split: str,
    count: int,
    as_json: bool,
    **network: Any,
) -> None:
    """Write a network as ONNX, proven equal to PyTorch.

    The file gets its name only after ONNX Runtime and PyTorch agree on it.

    \b
    logits  float32 NCHW in, logits at the head's own stride out (the fastest whole frame)
    scores  float32 NCHW in, full-resolution scores out (the papers' timing boundary)
    labels  uint8 NHWC in, uint8 label map out (self-contained)

    Example: rtseg export affnet --resolution 512x1024 -o affnet.onnx
    """
    from rtseg.datasets.registry import open_dataset
    from rtseg.export.onnx_file import default_name, export_onnx
    from rtseg.report.export import export_text

    dataset = open_dataset(data, split)
    prepared = selected_network(**network)
    images = [dataset[index].image for index in range(min(count, len(dataset)))]
    path = output or Path(default_name(prepared, resolution, interface))
    manifest, report = export_onnx(prepared, resolution, path, interface=interface, images=images)
    if as_json:
        print_json({"path": str(path), "manifest": manifest.to_json()})
    else:
        say(export_text(path, manifest, report, f"{len(images)} pictures of {data.partition(':')[0]}"))
        click.echo(path)
