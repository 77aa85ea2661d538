"""PASCAL VOC 2012, segmentation: 20 classes and the background, pictures of many sizes.

    PATH/ImageSets/Segmentation/SPLIT.txt       the names of a split, one a line
    PATH/JPEGImages/NAME.jpg
    PATH/SegmentationClass/NAME.png             palette PNG: 0 background, 1 to 20 the classes, 255 void

PATH is VOC2012 itself, VOCdevkit, or the folder that holds VOCdevkit. train has 1464 pictures, val 1449, trainval both;
the labels of test are not public. Only the indices of a label file count: its palette is for viewing, and is checked
only to refuse the palette of another dataset.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from rtseg.datasets.label_files import read_labelled_picture, read_labels
from rtseg.datasets.labelled import LabelledImage, checked
from rtseg.datasets.voc_classes import VOC_CLASSES
from rtseg.errors import DatasetError
from rtseg.images.files import PictureReader
from rtseg.observer import SILENT, Observer

LISTS = Path("ImageSets", "Segmentation")
HOMES = (Path(), Path("VOC2012"), Path("VOCdevkit", "VOC2012"))
"""Where the folders above may be below PATH."""


class VOC2012:
    """The pictures of one split, in the order of its list."""

    SPLITS = ("train", "val", "trainval", "test")
    classes = VOC_CLASSES

    def __init__(self, root: Path, split: str, observer: Observer = SILENT) -> None:
        if split == "test":
            raise DatasetError("VOC 2012 has no public labels for its test split", hint="use the split val")
        home = _home(root)
        self._names = _names_in(home / LISTS / f"{split}.txt")
        self._pictures, self._labels = home / "JPEGImages", home / "SegmentationClass"
        self._read = PictureReader(observer.warning)
        for kind, folder, suffix in (("pictures", self._pictures, "jpg"), ("label files", self._labels, "png")):
            files = (folder / f"{name}.{suffix}" for name in self._names)
            missing = [path for path in files if not os.path.isfile(path)]
            if missing:
                raise DatasetError(f"{len(missing)} {kind} are missing", got=f"no {missing[0]}")

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one picture. Raises DatasetError or ImageError for a file that does not fit the layout."""
        name = self._names[index]
        path = self._labels / f"{name}.png"
        labels = read_labels(path, self.classes, void=self.classes.ignore_index, any_palette=True)
        image = read_labelled_picture(self._pictures / f"{name}.jpg", self._read)
        return checked(LabelledImage(name, image, labels), self.classes)


def _home(root: Path) -> Path:
    homes = [root / below for below in HOMES if os.path.isdir(root / below / LISTS)]
    if len(homes) != 1:
        raise DatasetError(
            f"no VOC 2012 in {root}" if not homes else f"more than one VOC 2012 in {root}",
            got=", ".join(map(str, homes)) or None,
            expected=f"{LISTS / 'val.txt'}, JPEGImages/*.jpg and SegmentationClass/*.png",
            hint="pass voc:PATH, where PATH holds VOCdevkit/VOC2012",
        )
    return homes[0]


def _names_in(path: Path) -> list[str]:
    try:
        if path.exists() and not path.is_file():  # reading a named pipe would wait for ever
            raise DatasetError(f"cannot read the list {path}: it is not a file")
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise DatasetError(f"cannot read the list {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a list of names: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DatasetError(f"the list {path} is empty")
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise DatasetError(f"{path} is not a list of names", got=repr(name), expected="one a line, as 2007_000032")
    return names
