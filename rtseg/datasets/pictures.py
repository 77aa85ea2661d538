"""Pictures by index, without labels: a folder of them, or those of a labelled dataset."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rtseg.datasets.labelled import Image, LabelledDataset
from rtseg.errors import DatasetError
from rtseg.images.files import IMAGE_SUFFIXES, read_image


@dataclass(frozen=True)
class Picture:
    """One picture, uint8 RGB of any size. Its name is unlike every other of its source."""

    name: str
    image: Image


class PictureSource(Protocol):
    """Pictures in a fixed order. Each is read when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Picture:
        """Return one picture. Raises DatasetError or ImageError, and IndexError past the end."""


class FolderPictures:
    """The picture files of a folder, not of its subfolders, sorted by name. A picture's name is its file's."""

    def __init__(self, folder: Path) -> None:
        """List the folder. Raises DatasetError where it cannot be read or holds no picture."""
        try:
            names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
        except OSError as error:
            raise DatasetError(f"cannot read {folder}: {error.strerror}", expected="a folder of pictures") from error
        self._folder = folder
        self._names = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
        if not self._names:
            raise DatasetError(
                f"no picture in {folder}", expected=f"files ending in {', '.join(IMAGE_SUFFIXES[:3])}, ..."
            )

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Picture:
        """Return one picture. Raises ImageError for a file that is none, IndexError past the end."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        name = self._names[index]
        return Picture(name, read_image(self._folder / name))


class DatasetPictures:
    """The pictures of a labelled dataset, their labels left aside."""

    def __init__(self, dataset: LabelledDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Picture:
        """Return one picture. Raises what the dataset raises."""
        item = self._dataset[index]
        return Picture(item.name, item.image)
