"""`rtseg import-onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, resolution_option
from rtseg.cli.preprocessing_options import preprocessing, preprocessing_options
from rtseg.specs import Resolution


@click.command("import-onnx")
@file_argument("source", metavar="ONNX")
@click.option("--classes", metavar="NAME|N", help="What its channels are: cityscapes, camvid, ..., or a number.")
@preprocessing_options
@click.option("--align-corners/--no-align-corners", default=None, help="The rule by which its logits are upsampled.")
@resolution_option(required=False)
@click.option("--output", "head", metavar="NAME|INDEX", help="Which of several outputs scores the classes.")
@click.option("--threshold", type=float, help="Of one channel: class 1 above it.  [a mask's own, else measured]")
@click.option("-o", "output", type=ANY_PATH, help="The file.  [NAME.canonical.onnx, beside ONNX]")
@json_option
def import_onnx(
    source: Path,
    classes: str | None,
    align_corners: bool | None,
    resolution: Resolution | None,
    head: str | None,
    threshold: float | None,
    output: Path | None,
    as_json: bool,
    **pixels: Any,
) -> None:
    """Turn another exporter's ONNX file into one of rtseg.

    The file is written anew in the canonical form (opset 17, static, the contracts in its metadata) with a manifest,
    and gets its name when ONNX Runtime gives the same with both. Size, interface and stride are read off the graph;
    what it cannot show has to be said. Labels at its end are cut off, channels last are turned, and --resolution fixes
    sizes that it leaves open. A file of rtseg that lost its manifest needs no options and gets it back.

    \b
    Example: rtseg import-onnx mine.onnx --classes cityscapes --normalization imagenet --no-align-corners
    Example: rtseg import-onnx mine.onnx --classes 7 --scale 1 --mean 123.7 116.3 103.5 --std 58.4 57.1 57.4
    Example: rtseg import-onnx copied.onnx
    """
    import rtseg

    with watched() as observer:
        result = rtseg.import_onnx(
            source,
            output,
            classes=classes,
            align_corners=align_corners,
            resolution=resolution,
            head=head,
            threshold=threshold,
            **preprocessing(**pixels),
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
        return
    manifest = result.artifact.manifest
    say(f"{manifest.output.interface} of {len(manifest.output.classes)} classes at {manifest.image.resolution}")
    say(result.account)
    click.echo(result.artifact.path)
