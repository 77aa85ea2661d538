"""Cityscapes fine annotations: 19 train classes, 1024x2048.

    PATH/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png
    PATH/gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png      (or NAME_gtFine_labelTrainIds.png)

labelIds (0 to 33) are mapped to the 19 train ids by the benchmark's own table. If both files exist, the labelTrainIds
are read; they hold the same labels.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from rtseg.datasets.cityscapes_classes import CITYSCAPES_CLASSES
from rtseg.datasets.label_files import read_labelled_picture, read_labels
from rtseg.datasets.labelled import LabelledImage, Labels, checked
from rtseg.errors import DatasetError
from rtseg.images.files import PictureReader
from rtseg.images.folders import is_hidden
from rtseg.observer import SILENT, Observer

LABEL_IDS_OF_TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LAST_LABEL_ID = 33
IMAGE_SUFFIX = "_leftImg8bit.png"
NOT_PUBLIC = "the labels of Cityscapes' test split are not public"


class Cityscapes:
    """The pictures of one split, sorted by city and name, without hidden files and folders.

    A picture is named without its city unless another city has a picture of the same name.
    """

    SPLITS = ("train", "val", "test")
    classes = CITYSCAPES_CLASSES

    def __init__(self, root: Path, split: str, observer: Observer = SILENT) -> None:
        images = _pictures_in(root / "leftImg8bit" / split)
        if not images:
            raise DatasetError(
                f"no Cityscapes pictures in {root / 'leftImg8bit' / split}",
                expected=f"CITY/NAME{IMAGE_SUFFIX}",
                hint="pass cityscapes:PATH with the folder that holds leftImg8bit/ and gtFine/",
            )
        self._pairs = [(image, _labels_of(root, split, image)) for image in images]
        plain = Counter(image.name for image in images)
        self._names = [
            (image.name if plain[image.name] == 1 else f"{image.parent.name}/{image.name}")[: -len(IMAGE_SUFFIX)]
            for image in images
        ]
        self._read = PictureReader(observer.warning)
        self.without_labels = f"use --split val: {NOT_PUBLIC}" if split == "test" else ""

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one picture. Raises DatasetError or ImageError for a file that does not fit the layout."""
        image_path, labels_path = self._pairs[index]
        labels = read_labels(labels_path, self.classes, void=self.classes.ignore_index)
        if labels_path.name.endswith("labelIds.png"):
            labels = _train_ids(labels, labels_path)
        item = LabelledImage(self._names[index], read_labelled_picture(image_path, self._read), labels)
        return checked(item, self.classes, "rename it to NAME_gtFine_labelIds.png if the values are label ids")


def _labels_of(root: Path, split: str, image: Path) -> Path:
    stem = root / "gtFine" / split / image.parent.name / image.name[: -len(IMAGE_SUFFIX)]
    for kind in ("labelTrainIds", "labelIds"):
        path = stem.with_name(f"{stem.name}_gtFine_{kind}.png")
        if os.path.isfile(path):
            return path
    raise DatasetError(
        "a label file is missing",
        got=f"no {stem}_gtFine_labelIds.png",
        hint=f"use --split val: {NOT_PUBLIC}" if split == "test" else "",
    )


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(f"*/*{IMAGE_SUFFIX}")
        if not is_hidden(path.name) and not is_hidden(path.parent.name)
    )


def _train_ids(label_ids: Labels, path: Path) -> Labels:
    if label_ids.size and int(label_ids.max()) > LAST_LABEL_ID:
        are_train_ids = set(np.unique(label_ids)) <= {*range(len(CITYSCAPES_CLASSES)), CITYSCAPES_CLASSES.ignore_index}
        raise DatasetError(
            f"{path} is not a labelIds file",
            got=int(label_ids.max()),
            expected=f"0 to {LAST_LABEL_ID}",
            hint="rename it to NAME_gtFine_labelTrainIds.png: its values are train ids" if are_train_ids else "",
        )
    table = np.full(256, CITYSCAPES_CLASSES.ignore_index, np.uint8)
    table[list(LABEL_IDS_OF_TRAIN_IDS)] = np.arange(len(CITYSCAPES_CLASSES), dtype=np.uint8)
    train_ids: Labels = table[label_ids]
    return train_ids
