"""The result of comparing two segmenters on the same pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rtseg.accuracy.agreement import Agreement
from rtseg.accuracy.bootstrap import CONFIDENCE, RESAMPLES, Interval
from rtseg.accuracy.borders import BORDER_WIDTH
from rtseg.accuracy.confusion import AccuracyResult


@dataclass(frozen=True)
class ClassComparison:
    """One class. Fractions from 0 to 1, except difference and interval, which are in points; None where undefined.

    share is the class's fraction of all pixels. border_share is the fraction of the class that lies in the border
    band. Both come from the labels, or without labels from the reference's label maps. agreement is the IoU of the two
    segmenters' label maps for the class.
    """

    name: str
    share: float
    border_share: float | None
    reference_iou: float | None
    candidate_iou: float | None
    difference: float | None
    interval: Interval | None
    agreement: float | None


@dataclass(frozen=True)
class Comparison:
    """A candidate compared with a reference. The classes are sorted by border_share, thinnest first.

    difference is in points of mIoU, candidate - reference. interval is its 95 % confidence interval over the choice
    of pictures; None for fewer than 2 pictures. Without labels difference, interval and both results are None.
    """

    pictures: int
    reference: AccuracyResult | None
    candidate: AccuracyResult | None
    difference: float | None
    interval: Interval | None
    classes: tuple[ClassComparison, ...]
    agreement: Agreement

    @property
    def labelled(self) -> bool:
        """Whether both were also measured against labels."""
        return self.reference is not None

    @property
    def drop(self) -> float | None:
        """The points of mIoU that the candidate lost: the difference with the opposite sign."""
        return None if self.difference is None else 0.0 - self.difference

    @property
    def drop_interval(self) -> Interval | None:
        """The interval of the drop, in points."""
        return None if self.interval is None else Interval(0.0 - self.interval.high, 0.0 - self.interval.low)

    def to_json(self) -> dict[str, Any]:
        """Return plain values. Names of values in points say so; the others are fractions or pixels."""
        return {
            "labelled": self.labelled,
            "pictures": self.pictures,
            "reference": None if self.reference is None else self.reference.to_json(),
            "candidate": None if self.candidate is None else self.candidate.to_json(),
            "difference_points": self.difference,
            "interval_points": self.interval,
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "agreement": self.agreement.share,
            "border_agreement": self.agreement.border_share,
            "border_width": BORDER_WIDTH,
            "border_pixels": self.agreement.border_pixels,
            "pixels": self.agreement.pixels,
            "classes": [_class_json(entry) for entry in self.classes],
        }


def _class_json(entry: ClassComparison) -> dict[str, Any]:
    in_points = {"difference": "difference_points", "interval": "interval_points"}
    return {in_points.get(name, name): value for name, value in asdict(entry).items()}
