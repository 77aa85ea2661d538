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
@click.option("--count", type=click.IntRange(1), default=6, show_default=True)
@click.option("--split", default="val", show_default=True)
def scenes(folder: Path, resolution: Resolution | None, count: int, split: str) -> None:
    """Write rendered street scenes with labels.

    The folder has CamVid's layout: --data camvid:FOLDER reads it.

    \b
    Example: rtseg scenes scenes/ --resolution 720x960 --count 10
    """
    import rtseg

    with watched() as observer:
        rtseg.scenes(folder, resolution=resolution or "720x960", count=count, split=split, observer=observer)
    click.echo(folder)
