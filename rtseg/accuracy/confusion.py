"""The confusion matrix and the accuracy figures computed from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import SpecError
from rtseg.specs import ClassSpec

Labels = NDArray[np.uint8]


class ConfusionMatrix:
    """Pixel counts by true class (row) and predicted class (column), exact in int64.

    Pixels whose truth is the ignore index are not counted. A prediction outside the classes counts as an error of its
    true class, in a column of its own; it is never dropped.
    """

    def __init__(self, classes: ClassSpec) -> None:
        self.classes = classes
        self._counts = np.zeros((len(classes), 256), np.int64)

    def add(self, truth: Labels, predicted: Labels) -> None:
        """Count one picture. Raises SpecError for unequal shapes or a true label outside the classes."""
        if truth.shape != predicted.shape:
            raise SpecError("truth and prediction differ in size", got=predicted.shape, expected=truth.shape)
        pairs = truth.astype(np.uint16)
        pairs <<= 8
        pairs |= predicted
        cells = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
        cells[np.arange(256) == self.classes.ignore_index] = 0
        beyond = np.flatnonzero(cells[len(self.classes) :].any(1))
        if beyond.size:
            got = len(self.classes) + int(beyond[-1])
            expected = f"0 to {len(self.classes) - 1}, or {self.classes.ignore_index} for void"
            raise SpecError("a true label is out of range", got=got, expected=expected)
        self._counts += cells[: len(self.classes)]

    def include(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix of the same classes."""
        self._counts += other._counts

    @property
    def counts(self) -> NDArray[np.int64]:
        """A copy of the matrix, int64 (classes, classes)."""
        return self._counts[:, : len(self.classes)].copy()

    @property
    def intersection(self) -> NDArray[np.int64]:
        """Pixels of each class in both truth and prediction, int64 (classes,)."""
        return self._counts.diagonal().copy()

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels of each class in truth or prediction, without void, int64 (classes,)."""
        union: NDArray[np.int64] = self._counts.sum(1) + self.counts.sum(0) - self.intersection
        return union

    def result(self) -> AccuracyResult:
        """Return the figures of all pictures added so far."""
        correct = self.intersection
        truth = self._counts.sum(1)
        return AccuracyResult(
            class_names=self.classes.names,
            class_iou=tuple(_ratio(c, u) for c, u in zip(correct, self.union)),
            class_share=tuple(_ratio(t, truth.sum()) or 0.0 for t in truth),
            pixel_accuracy=_ratio(correct.sum(), truth.sum()),
            mean_class_accuracy=_mean([_ratio(c, t) for c, t in zip(correct, truth)]),
            pixels=int(truth.sum()),
        )


@dataclass(frozen=True)
class AccuracyResult:
    """Fractions from 0 to 1; None where undefined (a class neither in truth nor in prediction)."""

    class_names: tuple[str, ...]
    class_iou: tuple[float | None, ...]
    class_share: tuple[float, ...]
    pixel_accuracy: float | None
    mean_class_accuracy: float | None
    pixels: int

    @property
    def miou(self) -> float | None:
        """The mean of the class IoUs over the classes that occur in truth or prediction."""
        return _mean(self.class_iou)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the class IoUs by name."""
        return {
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
            "mean_class_accuracy": self.mean_class_accuracy,
            "pixels": self.pixels,
            "class_iou": dict(zip(self.class_names, self.class_iou)),
            "class_share": dict(zip(self.class_names, self.class_share)),
        }


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part) / float(whole) if whole else None


def _mean(values: Any) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
