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

    Example: rtseg scenes scenes/ --resolution 720x960 --count 10
    """
    from rtseg.datasets.camvid import write_camvid_layout
    from rtseg.datasets.registry import open_dataset

    dataset = open_dataset(f"streets:{resolution or Resolution(720, 960)}", split)
    with watched() as observer:
        write_camvid_layout(dataset, folder, split, count=min(count, len(dataset)), observer=observer)
    click.echo(folder)
