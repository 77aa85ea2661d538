"""The paired bootstrap: how far a difference in IoU would move with other pictures of the same kind.

Each resample draws as many pictures as there are, with replacement, the same ones for candidate and reference. It
sums their pixels and computes both mIoUs anew. The interval is the middle 95 % of the differences. It covers the
choice of pictures only: both segmenters stay the same. Pictures that resemble one another, such as the frames of one
video, make the interval narrower than it should be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import SpecError

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0

_CHUNK_BYTES = 2 << 20
"""Limit of the memory for the picture counts of the resamples computed at once."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Interval(NamedTuple):
    """The two ends of a confidence interval, low <= high."""

    low: float
    high: float


@dataclass(frozen=True)
class Overlaps:
    """The parts of a confusion matrix that IoU needs: pixels by picture and class, int64 (pictures, classes).

    intersection counts the pixels of a class in both truth and prediction, union those in either.
    """

    intersection: Counts
    union: Counts


@dataclass(frozen=True)
class DifferenceIntervals:
    """Intervals of candidate - reference, as fractions; None where fewer than 2 pictures contain the class."""

    miou: Interval | None
    class_iou: tuple[Interval | None, ...]


def paired_bootstrap(
    candidate: Overlaps, reference: Overlaps, *, resamples: int = RESAMPLES, seed: int = SEED
) -> DifferenceIntervals:
    """Return the percentile intervals of the differences in mIoU and in each class's IoU.

    A resample without any pixel of a class does not count for that class. Raises SpecError unless all four arrays
    have the same shape.
    """
    arrays = (candidate.intersection, candidate.union, reference.intersection, reference.union)
    if len({array.shape for array in arrays}) != 1:
        raise SpecError(
            "the overlaps have different numbers of pictures or classes", got=[array.shape for array in arrays]
        )
    pictures, classes = candidate.union.shape
    telling = (candidate.union > 0) | (reference.union > 0)
    if pictures < 2:
        return DifferenceIntervals(None, (None,) * classes)
    # Sums of pixels are exact in float64 up to 2 ** 53, and its matrix product is the fast one.
    summands = [array.astype(np.float64) for array in arrays]
    miou, class_iou = np.empty(resamples), np.empty((resamples, classes))
    start = 0
    for counts in resample_counts(pictures, resamples, seed):
        weights = counts.astype(np.float64)
        sums = [weights @ array for array in summands]
        ours, theirs = iou(sums[0], sums[1]), iou(sums[2], sums[3])
        rows = slice(start, start + len(counts))
        miou[rows], class_iou[rows] = mean_iou(ours) - mean_iou(theirs), ours - theirs
        start += len(counts)
    return DifferenceIntervals(
        _interval(miou) if telling.any(1).sum() > 1 else None,
        tuple(_interval(class_iou[:, k]) if telling[:, k].sum() > 1 else None for k in range(classes)),
    )


def resample_counts(pictures: int, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[Counts]:
    """Yield how often each picture was drawn, int64 (some resamples, pictures), until all resamples are done.

    Each row sums to the number of pictures. The same seed gives the same rows.
    """
    random = np.random.default_rng(seed)
    rows_at_once = max(1, _CHUNK_BYTES // (8 * pictures))
    for start in range(0, resamples, rows_at_once):
        rows = min(rows_at_once, resamples - start)
        drawn = random.integers(pictures, size=(rows, pictures)) + pictures * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * pictures).reshape(rows, pictures)


def iou(intersection: Floats, union: Floats) -> Floats:
    """Return intersection / union, NaN where the union is empty."""
    ratio: Floats = np.divide(intersection, union, out=np.full(union.shape, np.nan), where=union > 0)
    return ratio


def mean_iou(class_iou: Floats) -> Floats:
    """Return the mean over the last axis, ignoring NaN; NaN where all values are NaN."""
    present = ~np.isnan(class_iou)
    number = present.sum(-1)
    total = np.where(present, class_iou, 0).sum(-1)
    mean: Floats = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return mean


def _interval(differences: Floats) -> Interval | None:
    defined = differences[~np.isnan(differences)]
    if not defined.size:
        return None
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = (float(end) for end in np.percentile(defined, (tail, 100 - tail)))
    return Interval(low, high)
