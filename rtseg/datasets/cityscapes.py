"""Cityscapes fine annotations: 19 train classes, 1024x2048.

    PATH/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png
    PATH/gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png      (or NAME_gtFine_labelTrainIds.png)

labelIds (0 to 33) are mapped to the 19 train ids as the benchmark's own table does; where both
files exist the labelTrainIds are taken, which say the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from rtseg.datasets.labelled import LabelledImage, Labels, checked
from rtseg.errors import DatasetError
from rtseg.images.files import read_image, read_label_map
from rtseg.specs import ClassSpec

CITYSCAPES_CLASSES = ClassSpec(
    dataset="cityscapes",
    names=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    palette=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)

LABEL_IDS_OF_TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LAST_LABEL_ID = 33
IMAGE_SUFFIX = "_leftImg8bit.png"


class Cityscapes:
    """The pictures of one split, sorted by city and name."""

    SPLITS = ("train", "val", "test")
    classes = CITYSCAPES_CLASSES

    def __init__(self, root: Path, split: str) -> None:
        images = sorted((root / "leftImg8bit" / split).glob(f"*/*{IMAGE_SUFFIX}"))
        if not images:
            raise DatasetError(
                f"no Cityscapes pictures in {root / 'leftImg8bit' / split}",
                expected=f"CITY/NAME{IMAGE_SUFFIX}",
                hint="cityscapes:PATH with the folder that holds leftImg8bit/ and gtFine/",
            )
        self._pairs = [(image, _labels_of(root, split, image)) for image in images]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one picture. Raises DatasetError or ImageError for files that are not what they should be."""
        image_path, labels_path = self._pairs[index]
        labels = read_label_map(labels_path)
        if labels_path.name.endswith("labelIds.png"):
            labels = _train_ids(labels, labels_path)
        name = image_path.name[: -len(IMAGE_SUFFIX)]
        return checked(LabelledImage(name, read_image(image_path), labels), self.classes)


def _labels_of(root: Path, split: str, image: Path) -> Path:
    stem = root / "gtFine" / split / image.parent.name / image.name[: -len(IMAGE_SUFFIX)]
    for kind in ("labelTrainIds", "labelIds"):
        path = stem.with_name(f"{stem.name}_gtFine_{kind}.png")
        if os.path.isfile(path):
            return path
    raise DatasetError("a label file is missing", got=f"no {stem}_gtFine_labelIds.png")


def _train_ids(label_ids: Labels, path: Path) -> Labels:
    if label_ids.size and int(label_ids.max()) > LAST_LABEL_ID:
        raise DatasetError(f"{path} is not a labelIds file", got=int(label_ids.max()), expected=f"0 to {LAST_LABEL_ID}")
    table = np.full(256, CITYSCAPES_CLASSES.ignore_index, np.uint8)
    table[list(LABEL_IDS_OF_TRAIN_IDS)] = np.arange(len(CITYSCAPES_CLASSES), dtype=np.uint8)
    train_ids: Labels = table[label_ids]
    return train_ids
