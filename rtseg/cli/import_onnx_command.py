"""`rtseg import-onnx`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, resolution_option
from rtseg.specs import COLOUR_ORDERS, FITS, IMAGENET_NORMALIZATION, Normalization, Resolution

NORMALIZATIONS = {
    "imagenet": IMAGENET_NORMALIZATION,
    "unit": Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
}
THREE = (float, float, float)


@click.command("import-onnx")
@file_argument("source", metavar="ONNX")
@click.option("--classes", metavar="NAME|N", help="What its channels are: cityscapes, camvid, ..., or a number.")
@click.option(
    "--normalization",
    type=click.Choice(tuple(NORMALIZATIONS)),
    help="How pixels become its input: ImageNet's mean and std, or 0 to 1.",
)
@click.option("--mean", type=THREE, metavar="3 NUMBERS", help="Of (pixel * scale - mean) / std.")
@click.option("--std", type=THREE, metavar="3 NUMBERS")
@click.option("--scale", type=click.FloatRange(0, min_open=True), help="Such as 0.00392157, which is 1/255, or 1.")
@click.option("--colour-order", type=click.Choice(COLOUR_ORDERS), help="Of the channels, mean and std.  [RGB]")
@click.option("--align-corners/--no-align-corners", default=None, help="The rule by which its logits are upsampled.")
@click.option("--resize", "fit", type=click.Choice(FITS), help="How a picture is brought to its size.  [stretch]")
@click.option("--pad-value", "padding", type=click.IntRange(0, 255), help="Pixel value around a letterbox.  [114]")
@resolution_option(required=False)
@click.option("--output", "head", metavar="NAME|INDEX", help="Which of several outputs scores the classes.")
@click.option("--threshold", type=float, help="Of one channel: class 1 above it.  [0.5 behind a sigmoid, else 0]")
@click.option("-o", "output", type=ANY_PATH, help="The file.  [NAME.canonical.onnx, beside ONNX]")
@json_option
def import_onnx(
    source: Path,
    classes: str | None,
    normalization: str | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    scale: float | None,
    colour_order: str | None,
    align_corners: bool | None,
    fit: str | None,
    padding: int | None,
    resolution: Resolution | None,
    head: str | None,
    threshold: float | None,
    output: Path | None,
    as_json: bool,
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
            normalization=_normalization(normalization, scale, mean, std, colour_order),
            align_corners=align_corners,
            resolution=resolution,
            head=head,
            threshold=threshold,
            fit=fit,
            padding=padding,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
        return
    manifest = result.artifact.manifest
    say(f"{manifest.output.interface} of {len(manifest.output.classes)} classes at {manifest.image.resolution}")
    say(result.account)
    click.echo(result.artifact.path)


def _normalization(
    name: str | None,
    scale: float | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    colour_order: str | None,
) -> Normalization | None:
    """Return what the options say together, None where they say nothing."""
    numbers = (scale, mean, std)
    order = colour_order or COLOUR_ORDERS[0]
    if name is not None:
        if any(number is not None for number in numbers):
            raise click.UsageError("--normalization already says --mean, --std and --scale")
        chosen = NORMALIZATIONS[name]
        mirrored = order != chosen.colour_order
        means, deviations = (values[::-1] if mirrored else values for values in (chosen.mean, chosen.std))
        return Normalization(order, chosen.scale, means, deviations)
    if scale is not None and mean is not None and std is not None:
        return Normalization(order, scale, mean, std)
    if any(number is not None for number in numbers) or colour_order is not None:
        raise click.UsageError("--mean, --std and --scale go together, or --normalization stands for them")
    return None
