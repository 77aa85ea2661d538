"""Render street scenes with labels, for users without data."""

from __future__ import annotations

from pathlib import Path

from rtseg.artifacts.files import PathLike
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import Size, require_at_least, resolution_of


def scenes(
    folder: PathLike, *, resolution: Size = "720x960", count: int = 6, split: str = "val", observer: Observer = SILENT
) -> Path:
    """Write rendered street scenes and their labels in CamVid's layout, for data "camvid:FOLDER"; return the folder.

    Raises SpecError, UnknownNameError for an unknown split, and WriteError.
    """
    from rtseg.datasets.camvid import write_camvid_layout
    from rtseg.datasets.registry import open_dataset

    require_at_least(1, count=count)
    dataset = open_dataset(f"streets:{resolution_of(resolution)}", split)
    write_camvid_layout(dataset, Path(folder), split, count=min(count, len(dataset)), observer=observer)
    return Path(folder)
