"""The dataset protocol: labelled pictures by index, and the classes of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import DatasetError
from rtseg.observer import SILENT, Observer
from rtseg.specs import ClassSpec

Image = NDArray[np.uint8]
"""uint8 (height, width, 3), RGB."""
Labels = NDArray[np.uint8]
"""uint8 (height, width): class indices, or the class spec's ignore_index for unlabelled pixels."""


@dataclass(frozen=True)
class LabelledImage:
    """One picture with its labels, both of the same height and width."""

    name: str
    image: Image
    labels: Labels


class LabelledDataset(Protocol):
    """Labelled pictures in a fixed order. Each item is read when it is indexed."""

    @property
    def classes(self) -> ClassSpec:
        """The classes of the labels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one picture. Raises DatasetError, or IndexError past the end."""


def require_labels(
    dataset: LabelledDataset,
    *,
    limit: int | None = None,
    first: LabelledImage | None = None,
    kind: str = "",
    observer: Observer = SILENT,
) -> None:
    """Raise DatasetError if no pixel of the dataset, or of its first limit pictures, is labelled.

    Without a labelled pixel there is nothing to measure. Pictures are read up to the first with a label, so the error
    comes before a network has run; first is the first picture, if it has been read already. kind describes the pictures
    in the message. Also raises the exceptions of reading pictures.
    """
    if not any_labelled(dataset, limit=limit, first=first, observer=observer):
        raise nothing_labelled(dataset, _total(dataset, limit), kind)


def any_labelled(
    dataset: LabelledDataset,
    *,
    limit: int | None = None,
    first: LabelledImage | None = None,
    observer: Observer = SILENT,
) -> bool:
    """Return whether any pixel of the dataset, or of its first limit pictures, is labelled; True if it is empty.

    first is the first picture, if it has been read already. Raises the exceptions of reading pictures.
    """
    total = _total(dataset, limit)
    for index in range(total):
        item = first if index == 0 and first is not None else dataset[index]
        if (item.labels != dataset.classes.ignore_index).any():
            return True
        observer.progress("looking for labels", index + 1, total)
    return total == 0


def _total(dataset: LabelledDataset, limit: int | None) -> int:
    return len(dataset) if limit is None else min(limit, len(dataset))


def nothing_labelled(dataset: LabelledDataset, pictures: int, kind: str = "") -> DatasetError:
    """Return the error to raise if so many pictures of a dataset hold only void.

    A dataset that knows where its labels are says so in `without_labels`.
    """
    hint = getattr(dataset, "without_labels", "") or (
        "use another split, or label files that hold classes; or pass images:FOLDER to measure agreement without labels"
    )
    return DatasetError(
        f"no pixel of the {pictures} {kind}picture{'s' * (pictures != 1)} is labelled",
        got="label files that hold only void",
        expected=f"some pixels of the {len(dataset.classes)} classes",
        hint=hint,
    )


def checked(item: LabelledImage, classes: ClassSpec, hint: str = "") -> LabelledImage:
    """Return item. Raises DatasetError if its labels leave the class range or its shapes differ.

    hint is the advice for labels out of range.
    """
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
            hint=hint or "pass another dataset, or correct the label file",
        )
    return item
