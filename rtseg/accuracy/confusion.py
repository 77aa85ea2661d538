"""The confusion matrix and the figures of merit that are read off it."""

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

    Pixels whose truth is the ignore index are not counted. A prediction outside the classes counts
    against its true class, in a column of its own, and is never dropped.
    """

    def __init__(self, classes: ClassSpec) -> None:
        self.classes = classes
        self._counts = np.zeros((len(classes), 257), np.int64)

    def add(self, truth: Labels, predicted: Labels) -> None:
        """Count one picture. Raises SpecError for unequal shapes or a truth outside the class range."""
        if truth.shape != predicted.shape:
            raise SpecError("truth and prediction differ in size", got=predicted.shape, expected=truth.shape)
        counted = truth != self.classes.ignore_index
        rows = truth[counted].astype(np.int64)
        if rows.size and rows.max() >= len(self.classes):
            raise SpecError("a true label is out of range", got=int(rows.max()), expected=len(self.classes) - 1)
        cells = np.bincount(rows * 257 + predicted[counted], minlength=self._counts.size)
        self._counts += cells.reshape(self._counts.shape)

    @property
    def counts(self) -> NDArray[np.int64]:
        """A copy of the matrix, (classes, classes)."""
        return self._counts[:, : len(self.classes)].copy()

    def result(self) -> AccuracyResult:
        """Return the figures of all pictures added so far."""
        inner = self.counts
        correct = np.diag(inner)
        truth = self._counts.sum(1)
        union = truth + inner.sum(0) - correct
        return AccuracyResult(
            class_names=self.classes.names,
            class_iou=tuple(_ratio(c, u) for c, u in zip(correct, union)),
            class_share=tuple(_ratio(t, truth.sum()) or 0.0 for t in truth),
            pixel_accuracy=_ratio(correct.sum(), truth.sum()),
            mean_class_accuracy=_mean([_ratio(c, t) for c, t in zip(correct, truth)]),
            pixels=int(truth.sum()),
        )


@dataclass(frozen=True)
class AccuracyResult:
    """Fractions from 0 to 1; None where no pixel can tell (a class neither true nor predicted)."""

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
        """Return plain values, the class IoUs by name."""
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
