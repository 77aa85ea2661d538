"""`rtseg scenes`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import watched
from rtseg.cli.options import file_argument, resolution_option
from rtseg.specs import Resolution


@click.command()
@file_argument("folder")
@resolution_option(required=False)
@click.option("--count", type=click.IntRange(1), default=6, metavar="N", help="Number of scenes.  [default: 6]")
@click.option("--split", default="val", metavar="NAME", help="Split to write: train, val or test.  [default: val]")
def scenes(folder: Path, resolution: Resolution | None, count: int, split: str) -> None:
    """Write rendered street scenes with labels.

    FOLDER gets the layout of CamVid, so that --data camvid:FOLDER reads it. The scenes are 720x960 unless --resolution
    says otherwise.

    \b
    Examples:
      rtseg scenes scenes --resolution 128x256 --count 4
      rtseg scenes scenes --resolution 128x256 --count 8 --split train
    """
    import rtseg

    with watched() as observer:
        rtseg.scenes(folder, resolution=resolution or "720x960", count=count, split=split, observer=observer)
    click.echo(folder)
