"""From a histogram to a threshold: the magnitude that INT8's largest step, 127, represents.

Every method computes in units of bins, so values twice as large give a threshold twice as large, bit for bit. Every
threshold is above zero and at most the greatest magnitude. A tensor that was always zero, which any scale represents,
gets ZERO_THRESHOLD.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtseg.calibration.histograms import Histogram
from rtseg.calibration.table import METHODS
from rtseg.errors import CalibrationError, UnknownNameError

Array = NDArray[np.float64]

ZERO_THRESHOLD = 1.0
STEPS = 127
"""Steps of symmetric INT8 on each side of zero."""
LEVELS = 128
"""Levels of a magnitude in entropy calibration, zero included."""
BINS_BETWEEN_CANDIDATES = 8
"""Spacing of the thresholds that entropy tries: at most 0.4 % of the greatest magnitude."""
MOST_CLIPPED = 0.1
"""The largest fraction of the nonzero values that entropy may clip."""
_SEARCH = (48, 16, 16)
"""Thresholds that mse tries: so many over the whole range, in equal ratios, then so many around the best, twice."""


@dataclass(frozen=True)
class Method:
    """How a threshold is chosen: a name in METHODS, and for "percentile" the share in per cent.

    Raises UnknownNameError for another name and CalibrationError for an impossible share.
    """

    name: str
    percent: float | None = None

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise UnknownNameError("calibration method", self.name, METHODS)
        if self.name == "percentile" and self.percent is None:
            raise CalibrationError("the method percentile needs a percentile", expected="such as 99.99")
        if self.name != "percentile" and self.percent is not None:
            raise CalibrationError(f"the method {self.name} takes no percentile", got=self.percent)
        if self.percent is not None and not 0 < self.percent <= 100:
            raise CalibrationError("the percentile is out of range", got=self.percent, expected="above 0, at most 100")


def threshold(histogram: Histogram, method: Method) -> float:
    """Return the threshold by that method."""
    if method.percent is not None:
        return percentile(histogram, method.percent)
    return {"minmax": minmax, "entropy": entropy, "mse": mse}[method.name](histogram)


def minmax(histogram: Histogram) -> float:
    """Return the greatest magnitude, so that nothing is clipped."""
    return histogram.magnitude or ZERO_THRESHOLD


def percentile(histogram: Histogram, percent: float) -> float:
    """Return the magnitude below which that share of all values lies, including zeros.

    The value is interpolated inside its bin. percent is above 0 and at most 100.
    """
    if histogram.magnitude == 0:
        return ZERO_THRESHOLD
    cumulative = np.cumsum(histogram.counts[: histogram.bins], dtype=np.float64)
    wanted = percent / 100 * cumulative[-1]
    index = int(np.searchsorted(cumulative, wanted))
    before = cumulative[index - 1] if index else 0.0
    return _in_units(histogram, index + (wanted - before) / (cumulative[index] - before))


def entropy(histogram: Histogram) -> float:
    """Return the threshold whose 128 levels lose least information (least KL divergence, as in TensorRT).

    For every candidate threshold the reference is the histogram up to it, with everything beyond added to its last bin.
    The other distribution is the same histogram without the values beyond, in LEVELS equal levels; each level's mass is
    spread evenly over those of its bins that are not empty. Exact zeros are left out on both sides: they cost nothing
    at any scale, and after a ReLU they would outweigh everything else. A candidate is excluded if its last bin is empty
    and there are values beyond, because its divergence is infinite. It is also excluded if it clips more than
    MOST_CLIPPED: if all values lie far from zero, as a sigmoid's may, the smallest few, alone in one bin, would look
    like a perfect match. Among equal candidates the widest is returned.
    """
    counts = histogram.nonzero_counts()
    if len(counts) <= LEVELS:
        return minmax(histogram)
    ends = np.append(np.arange(LEVELS, len(counts), BINS_BETWEEN_CANDIDATES), len(counts))
    clipped = 1 - np.cumsum(counts)[ends - 1] / counts.sum()
    ends = ends[(counts[ends - 1] > 0) & (clipped <= MOST_CLIPPED)]
    divergences = _divergences(counts, ends)
    best = len(ends) - 1 - int(np.argmin(divergences[::-1]))
    return _in_units(histogram, float(ends[best]))


def _divergences(counts: Array, ends: NDArray[np.int64]) -> Array:
    """Return the KL divergence of cutting off at each end, computed from running sums without a loop over bins."""
    total = counts.sum()
    mass = np.concatenate([[0.0], np.cumsum(counts)])
    filled = np.concatenate([[0.0], np.cumsum(counts > 0)])
    information = np.concatenate([[0.0], np.cumsum(_times_log(counts, counts))])
    beyond = total - mass[ends]
    last = counts[ends - 1]
    reference = information[ends - 1] + _times_log(last + beyond, last + beyond)
    # A level's first bin: the smallest number whose product with LEVELS / end is that level or above.
    borders = -(-np.arange(LEVELS + 1) * ends[:, None] // LEVELS)
    level_mass = np.diff(mass[borders])
    level_filled = np.maximum(np.diff(filled[borders]), 1.0)
    level_reference = level_mass.copy()
    level_reference[:, -1] += beyond
    cross = _times_log(level_reference, level_mass / level_filled).sum(axis=1)
    kept = total - beyond
    divergences: Array = (reference - cross) / total - np.log(total) + np.log(kept)
    return divergences


def _times_log(weight: Array, value: Array) -> Array:
    """Return weight * log(value), and 0 if the weight is 0."""
    product: Array = weight * np.log(np.where(weight > 0, value, 1.0))
    return product


def mse(histogram: Histogram) -> float:
    """Return the threshold with the least mean squared error of symmetric INT8, from rounding and clipping together."""
    if histogram.magnitude == 0:
        return ZERO_THRESHOLD
    greatest = histogram.magnitude / histogram.width
    low, high = min(1.0, greatest), greatest
    best = greatest
    for count in _SEARCH:
        candidates = np.unique(np.append(np.geomspace(low, high, count), best))
        errors = _squared_errors(histogram, candidates)
        index = len(candidates) - 1 - int(np.argmin(errors[::-1]))
        best = float(candidates[index])
        low, high = candidates[max(index - 1, 0)], candidates[min(index + 1, len(candidates) - 1)]
    return _in_units(histogram, best)


def mean_squared_error(histogram: Histogram, threshold: float) -> float:
    """Return the mean of (x - INT8(x))^2 over all values, assuming that a bin's values are spread evenly over it."""
    scale = histogram.width**2 / histogram.count
    return float(_squared_errors(histogram, np.array([threshold / histogram.width]))[0] * scale)


def _squared_errors(histogram: Histogram, thresholds: Array) -> Array:
    """Return the sum of squared errors for each threshold, both in units of bins.

    The values nearest to a level L add the integral of (x - L)^2. The first three moments up to the borders between
    levels give it without a loop over bins.
    """
    counts = histogram.nonzero_counts()
    steps = thresholds[:, None] / STEPS
    numbers = np.arange(STEPS + 1)
    levels, upper_borders = numbers * steps, np.minimum((numbers[:-1] + 0.5) * steps, len(counts))
    mass, first, second = (np.diff(_moment(counts, upper_borders, power), axis=1) for power in range(3))
    errors: Array = (second - 2 * levels * first + levels**2 * mass).sum(axis=1)
    return errors


def _moment(counts: Array, positions: Array, power: int) -> Array:
    """Return the integral of x^power over the histogram's density: from 0 to 0, to each position, and to the end."""
    raised = np.arange(len(counts) + 1, dtype=np.float64) ** (power + 1) / (power + 1)
    running = np.concatenate([[0.0], np.cumsum(counts * np.diff(raised))])
    bins = np.minimum(positions.astype(np.int64), len(counts) - 1)
    inside = running[bins] + counts[bins] * (positions ** (power + 1) / (power + 1) - raised[bins])
    ends = np.broadcast_to([0.0, running[-1]], (len(positions), 2))
    return np.concatenate([ends[:, :1], inside, ends[:, 1:]], axis=1)


def _in_units(histogram: Histogram, bins: float) -> float:
    return float(min(bins * histogram.width, histogram.magnitude))
