"""Counts label maps for a comparison, one picture at a time."""

from __future__ import annotations

import numpy as np

from rtseg.accuracy.agreement import Agreement, AgreementCount
from rtseg.accuracy.bootstrap import Interval, Overlaps, paired_bootstrap
from rtseg.accuracy.borders import BorderShare, border_band
from rtseg.accuracy.comparison import ClassComparison, Comparison
from rtseg.accuracy.confusion import ConfusionMatrix, Labels
from rtseg.errors import DatasetError
from rtseg.specs import ClassSpec

POINTS = 100.0
"""Points of IoU in a fraction of 1."""


class ComparisonCount:
    """Counts the label maps of a reference and a candidate, and the labels if there are any.

    classes are the segmenters' classes. truth_classes are the dataset's, which are the first of classes; None without
    labels. Four integers for each picture and class are kept for the bootstrap, nothing else.
    """

    def __init__(self, classes: ClassSpec, truth_classes: ClassSpec | None = None) -> None:
        self._agreement = AgreementCount(classes)
        self._against_truth = None if truth_classes is None else _AgainstTruth(truth_classes)
        self._pictures = 0

    def add(self, reference: Labels, candidate: Labels, truth: Labels | None) -> None:
        """Count one picture; truth is None only when the comparison has no truth classes.

        Raises SpecError for unequal shapes and for labels outside the classes.
        """
        if (truth is None) != (self._against_truth is None):
            raise TypeError("pass a truth for each picture if the comparison has truth classes, and only then")
        if self._against_truth is not None and truth is not None:
            self._against_truth.add(reference, candidate, truth)
        self._agreement.add(reference, candidate)
        self._pictures += 1

    def result(self) -> Comparison:
        """Return the comparison. Raises DatasetError if there was no picture, or no labelled pixel in any."""
        if not self._pictures:
            raise DatasetError("there is no picture to compare on", got=0, expected="1 or more")
        agreement = self._agreement.result()
        if self._against_truth is not None:
            return self._against_truth.result(self._pictures, agreement)
        names = agreement.class_names
        classes = [
            ClassComparison(name, share, border_share, None, None, None, None, both)
            for name, share, border_share, both in zip(
                names, agreement.class_share, agreement.class_border_share, agreement.class_iou
            )
        ]
        return Comparison(self._pictures, None, None, None, None, _thin_first(classes), agreement)


class _AgainstTruth:
    """The part of a comparison that needs labels: both segmenters' matrices, and how thin each class is."""

    def __init__(self, classes: ClassSpec) -> None:
        self._reference = _Matrices(classes)
        self._candidate = _Matrices(classes)
        self._borders = BorderShare()

    def add(self, reference: Labels, candidate: Labels, truth: Labels) -> None:
        self._reference.add(truth, reference)
        self._candidate.add(truth, candidate)
        self._borders.add(truth, border_band(truth))

    def result(self, pictures: int, agreement: Agreement) -> Comparison:
        reference, candidate = self._reference.total.result(), self._candidate.total.result()
        if reference.miou is None or candidate.miou is None:
            raise DatasetError(
                f"no pixel of the {pictures} pictures is labelled",
                hint="pass --data images:FOLDER to measure agreement without labels",
            )
        intervals = paired_bootstrap(self._candidate.overlaps(), self._reference.overlaps())
        classes = [
            ClassComparison(
                name=name,
                share=reference.class_share[index],
                border_share=self._borders.of(index),
                reference_iou=reference.class_iou[index],
                candidate_iou=candidate.class_iou[index],
                difference=_points(candidate.class_iou[index], reference.class_iou[index]),
                interval=_in_points(intervals.class_iou[index]),
                agreement=agreement.class_iou[index],
            )
            for index, name in enumerate(reference.class_names)
        ]
        return Comparison(
            pictures=pictures,
            reference=reference,
            candidate=candidate,
            difference=_points(candidate.miou, reference.miou),
            interval=_in_points(intervals.miou),
            classes=_thin_first(classes),
            agreement=agreement,
        )


class _Matrices:
    """The confusion matrix of all pictures, and the intersections and unions of each picture."""

    def __init__(self, classes: ClassSpec) -> None:
        self.total = ConfusionMatrix(classes)
        self._intersections: list[np.ndarray] = []
        self._unions: list[np.ndarray] = []

    def add(self, truth: Labels, predicted: Labels) -> None:
        picture = ConfusionMatrix(self.total.classes)
        picture.add(truth, predicted)
        self.total.include(picture)
        self._intersections.append(picture.intersection)
        self._unions.append(picture.union)

    def overlaps(self) -> Overlaps:
        return Overlaps(np.stack(self._intersections), np.stack(self._unions))


def _points(candidate: float | None, reference: float | None) -> float | None:
    return None if candidate is None or reference is None else (candidate - reference) * POINTS


def _in_points(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(interval.low * POINTS, interval.high * POINTS)


def _thin_first(classes: list[ClassComparison]) -> tuple[ClassComparison, ...]:
    """Return the classes by falling border share; classes without a pixel come last."""
    return tuple(sorted(classes, key=lambda entry: (entry.border_share is None, -(entry.border_share or 0.0))))
