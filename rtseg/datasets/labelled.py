"""What a dataset is here: labelled pictures by index, the classes they speak of, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import DatasetError
from rtseg.specs import ClassSpec

Image = NDArray[np.uint8]
"""uint8 (height, width, 3), RGB."""
Labels = NDArray[np.uint8]
"""uint8 (height, width): class indices, or the class spec's ignore_index where nothing is said."""


@dataclass(frozen=True)
class LabelledImage:
    """One picture with its truth, both of the same height and width."""

    name: str
    image: Image
    labels: Labels


class LabelledDataset(Protocol):
    """Labelled pictures in a fixed order. Items are read when they are asked for."""

    @property
    def classes(self) -> ClassSpec:
        """The classes the labels speak of."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one picture. Raises DatasetError, or IndexError past the end."""


def checked(item: LabelledImage, classes: ClassSpec) -> LabelledImage:
    """Return item. Raises DatasetError where its labels leave the class range or its shapes differ."""
    if item.image.shape[:2] != item.labels.shape:
        raise DatasetError(
            f"picture and labels of {item.name} differ in size",
            got="x".join(map(str, item.labels.shape)),
            expected="x".join(map(str, item.image.shape[:2])),
        )
    counts = np.bincount(item.labels.ravel(), minlength=256)
    allowed = np.zeros(256, bool)
    allowed[: len(classes)] = True
    allowed[classes.ignore_index] = True
    wrong = np.flatnonzero((counts > 0) & ~allowed)
    if wrong.size:
        raise DatasetError(
            f"the labels of {item.name} hold values outside the class range",
            got=", ".join(map(str, wrong[:5])),
            expected=f"0 to {len(classes) - 1}, or {classes.ignore_index} for void",
            hint="another dataset format, or a corrected label file",
        )
    return item
