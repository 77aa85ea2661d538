"""Your own labelled pictures, with the classes and in the layout that a TOML file states (own_classes)."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from rtseg.datasets.label_files import read_labelled_picture, read_values
from rtseg.datasets.labelled import LabelledImage, checked
from rtseg.datasets.own_classes import read_own_classes
from rtseg.errors import DatasetError, UnknownNameError
from rtseg.images.files import PictureReader
from rtseg.images.folders import listed
from rtseg.images.stored import IMAGE_SUFFIXES
from rtseg.observer import SILENT, Observer

FILE = "classes.toml"
"""The name of the file, where a folder is given."""


class Own:
    """The pictures of one split, sorted by name, without subfolders and hidden files. A split is a folder's name."""

    def __init__(self, path: Path, split: str, observer: Observer = SILENT) -> None:
        """List the pictures. Raises SpecError for the file, and DatasetError for what it states and is not there."""
        if not split or not split.isprintable():
            raise UnknownNameError("split of own", split, ["the names of your folders"])
        self._list = read_own_classes(path / FILE if path.is_dir() else path)
        self.classes = self._list.spec
        folder = self._list.pictures_of(split)
        pictures = _pictures_in(folder, self._list.file)
        self._names = [picture.stem for picture in pictures]
        if twice := next((name for name, count in Counter(self._names).items() if count > 1), None):
            raise DatasetError(f"two pictures in {folder} are called {twice}", expected="one for each label file")
        self._pairs = [(picture, self._list.labels_of(split, picture.stem)) for picture in pictures]
        missing = [labels for _, labels in self._pairs if not os.path.isfile(labels)]
        if missing:
            raise DatasetError(
                f"{len(missing)} of {len(pictures)} label files are missing",
                got=f"no {missing[0]}",
                hint=f"set labels in {self._list.file}",
            )
        self._read = PictureReader(observer.warning)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one picture. Raises DatasetError or ImageError for a file that does not fit the list."""
        picture, path = self._pairs[index]
        labels = self._list.indices(read_values(path, self.classes), path)
        image = read_labelled_picture(picture, self._read)
        return checked(LabelledImage(self._names[index], image, labels), self.classes)


def _pictures_in(folder: Path, file: Path) -> list[Path]:
    """Return the pictures of a folder. Raises DatasetError if there is none."""
    try:
        pictures = listed(folder, IMAGE_SUFFIXES)
    except (FileNotFoundError, NotADirectoryError):
        pictures = []
    except OSError as error:
        raise DatasetError(f"cannot read {folder}: {error.strerror}") from error
    if not pictures:
        raise DatasetError(
            f"no pictures in {folder}",
            expected=f"files ending in {', '.join(IMAGE_SUFFIXES[:3])}, ...",
            hint=f"set pictures in {file}, or use another split",
        )
    return pictures
