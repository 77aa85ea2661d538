"""How far two label maps of the same pictures agree. It needs no ground truth, and does not measure accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rtseg.accuracy.borders import BorderShare, border_band
from rtseg.accuracy.confusion import ConfusionMatrix, Labels
from rtseg.specs import ClassSpec

NOTHING_IGNORED = -1
"""An ignore index that no uint8 label has: a segmenter predicts a class for every pixel."""


@dataclass(frozen=True)
class Agreement:
    """Fractions from 0 to 1; None where no pixel counts.

    share is the fraction of all pixels with equal labels. border_share is the same fraction of the border_pixels,
    which lie in the reference's border band. class_iou is the IoU of the two maps for each class. class_share and
    class_border_share describe the reference's map: each class's fraction of all pixels, and the fraction of the
    class that lies in the border band.
    """

    class_names: tuple[str, ...]
    pixels: int
    share: float
    border_pixels: int
    border_share: float | None
    class_iou: tuple[float | None, ...]
    class_share: tuple[float, ...]
    class_border_share: tuple[float | None, ...]


class AgreementCount:
    """Counts, picture by picture, where a candidate's label map equals the reference's."""

    def __init__(self, classes: ClassSpec) -> None:
        self._matrix = ConfusionMatrix(replace(classes, ignore_index=NOTHING_IGNORED))
        self._borders = BorderShare()
        self._equal = self._border_pixels = self._border_equal = 0

    def add(self, reference: Labels, candidate: Labels) -> None:
        """Count one picture. Raises SpecError for unequal shapes or a label outside the classes."""
        self._matrix.add(reference, candidate)
        band = border_band(reference)
        equal = reference == candidate
        self._borders.add(reference, band)
        self._equal += int(np.count_nonzero(equal))
        self._border_pixels += int(np.count_nonzero(band))
        self._border_equal += int(np.count_nonzero(equal & band))

    def result(self) -> Agreement:
        """Return the figures of all pictures added so far; add at least one first."""
        figures = self._matrix.result()
        return Agreement(
            class_names=figures.class_names,
            pixels=figures.pixels,
            share=self._equal / figures.pixels,
            border_pixels=self._border_pixels,
            border_share=self._border_equal / self._border_pixels if self._border_pixels else None,
            class_iou=figures.class_iou,
            class_share=figures.class_share,
            class_border_share=tuple(self._borders.of(index) for index in range(len(figures.class_names))),
        )
