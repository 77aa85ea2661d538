"""`rtseg import-onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, resolution_option
from rtseg.cli.preprocessing_options import preprocessing, preprocessing_options
from rtseg.specs import FLOAT_INTERFACES, Resolution


@click.command("import-onnx")
@file_argument("source", metavar="ONNX")
@click.option(
    "--classes", metavar="NAME|N|FILE", help="Class list, such as cityscapes or FILE.toml, or the number of classes."
)
@preprocessing_options
@click.option("--align-corners/--no-align-corners", default=None, help="How to upsample the logits.")
@resolution_option(required=False)
@click.option("--output", "head", metavar="NAME|INDEX", help="Output with the scores, if there are several.")
@click.option(
    "--threshold",
    type=float,
    metavar="NUMBER",
    help="Threshold of a single channel: class 1 above it.  [default: the mask's own, else measured]",
)
@click.option(
    "--interface",
    type=click.Choice(FLOAT_INTERFACES),
    help="scores keeps a Resize to the picture's size at the end.  [default: logits]",
)
@click.option(
    "-o", "output", type=ANY_PATH, metavar="FILE", help="File to write.  [default: NAME.canonical.onnx beside ONNX]"
)
@json_option
def import_onnx(
    source: Path,
    classes: str | None,
    align_corners: bool | None,
    resolution: Resolution | None,
    head: str | None,
    threshold: float | None,
    interface: str | None,
    output: Path | None,
    as_json: bool,
    **pixels: Any,
) -> None:
    """Import an ONNX file from another exporter.

    The command rewrites the file in rtseg's canonical form (opset 17, static shapes, preprocessing and classes in the
    metadata) and adds a manifest. It writes the result only if ONNX Runtime gives the same for both files.

    Size, interface and stride come from the graph. Pass options for what the graph does not record: classes,
    normalisation and, for small logits, the rule of upsampling. The command removes an ArgMax at the end, and a Resize
    of the logits to the picture's size, which rtseg does by the same rule. It transposes inputs and outputs whose
    channels come last, and fixes open sizes by --resolution. An rtseg file that lost its manifest needs no options.

    \b
    Examples:
      python -c "import torch; torch.onnx.export(torch.nn.Conv2d(3, 5, 1), \\
        torch.zeros(1, 3, 64, 96), 'mine.onnx', dynamo=False)"
      rtseg import-onnx mine.onnx --classes 5 --normalization imagenet \\
        --no-align-corners
      rtseg import-onnx mine.onnx --classes 5 --no-align-corners --scale 1 \\
        --mean 123.7 116.3 103.5 --std 58.4 57.1 57.4 -o other.onnx
    """
    import rtseg
    from rtseg.cli.show.export_text import pixels_text

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
            interface=interface,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
        return
    manifest = result.artifact.manifest
    say(f"{manifest.output.interface} of {len(manifest.output.classes)} classes at {manifest.image.resolution}")
    say(pixels_text(manifest.image))
    say(result.account)
    click.echo(result.artifact.path)
