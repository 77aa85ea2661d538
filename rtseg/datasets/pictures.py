"""Pictures by index, without labels: from a folder, or from a labelled dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rtseg.datasets.labelled import Image, LabelledDataset
from rtseg.errors import DatasetError
from rtseg.images.files import PictureReader
from rtseg.images.folders import listed
from rtseg.images.stored import IMAGE_SUFFIXES
from rtseg.observer import SILENT, Observer


@dataclass(frozen=True)
class Picture:
    """One picture, uint8 RGB of any size. Its name is unique in its source."""

    name: str
    image: Image


class PictureSource(Protocol):
    """Pictures in a fixed order. Each is read when it is indexed."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Picture:
        """Return one picture. Raises DatasetError or ImageError, and IndexError past the end."""


class FolderPictures:
    """The picture files of a folder, without subfolders and hidden files, sorted by name.

    A picture's name is its file's name with the suffix: a.png and a.jpg are two pictures.
    """

    def __init__(self, folder: Path, observer: Observer = SILENT) -> None:
        """List the folder. Raises DatasetError if it cannot be read or holds no picture."""
        try:
            self._paths = listed(folder, IMAGE_SUFFIXES)
        except OSError as error:
            raise DatasetError(f"cannot read {folder}: {error.strerror}", expected="a folder of pictures") from error
        self._read = PictureReader(observer.warning)
        if not self._paths:
            raise DatasetError(
                f"no picture in {folder}", expected=f"files ending in {', '.join(IMAGE_SUFFIXES[:3])}, ..."
            )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Picture:
        """Return one picture. Raises ImageError for a file that is not a picture, IndexError past the end."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        path = self._paths[index]
        return Picture(path.name, self._read(path))


class DatasetPictures:
    """The pictures of a labelled dataset, without their labels."""

    def __init__(self, dataset: LabelledDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Picture:
        """Return one picture. Raises the dataset's exceptions."""
        item = self._dataset[index]
        return Picture(item.name, item.image)
