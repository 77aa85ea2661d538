"""Statistics of raw latencies: order statistics, spread, and how precisely the median is known.

Pure functions over samples in nanoseconds. A percentile is the nearest-rank one: the smallest sample that at least so
many percent of the samples do not exceed. It is always a measured latency, never an interpolation. With fewer than 100
samples p99 is therefore the slowest of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rtseg.errors import SpecError

CONFIDENCE = 0.95
NS_PER_MS = 1e6


@dataclass(frozen=True)
class LatencySummary:
    """The statistics of one set of samples.

    median_low_ms to median_high_ms is the 95 % confidence interval of the median, None with fewer than 6 samples. cv is
    standard deviation / mean, None for a single sample. fps is one over the median: a latency, not a throughput. It is
    None if the clock could not distinguish the median from 0.
    """

    count: int
    min_ms: float
    median_ms: float
    median_low_ms: float | None
    median_high_ms: float | None
    p90_ms: float
    p99_ms: float
    mean_ms: float
    cv: float | None
    fps: float | None

    @property
    def median_half_width(self) -> float | None:
        """Half the interval of the median as a fraction of the median; None without an interval or if it is 0."""
        if self.median_low_ms is None or self.median_high_ms is None or self.median_ms == 0:
            return None
        return (self.median_high_ms - self.median_low_ms) / 2 / self.median_ms

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as plain numbers and None."""
        return asdict(self)


def summarize(samples_ns: Sequence[int]) -> LatencySummary:
    """Return the statistics of the samples. Raises SpecError if there are none or one is negative.

    >>> summarize([2_000_000, 1_000_000, 6_000_000]).median_ms
    2.0
    """
    ordered = np.sort(np.asarray(samples_ns, np.int64))
    if not len(ordered):
        raise SpecError("no samples to summarize", got=0, expected="at least 1")
    if ordered[0] < 0:
        raise SpecError("a latency is negative", got=f"{ordered[0]} ns", expected="0 or more")
    median_ms = float(np.median(ordered)) / NS_PER_MS
    mean_ns = float(ordered.mean())
    ranks = median_ranks(len(ordered))
    return LatencySummary(
        count=len(ordered),
        min_ms=float(ordered[0]) / NS_PER_MS,
        median_ms=median_ms,
        median_low_ms=None if ranks is None else float(ordered[ranks[0] - 1]) / NS_PER_MS,
        median_high_ms=None if ranks is None else float(ordered[ranks[1] - 1]) / NS_PER_MS,
        p90_ms=float(ordered[nearest_rank(90, len(ordered)) - 1]) / NS_PER_MS,
        p99_ms=float(ordered[nearest_rank(99, len(ordered)) - 1]) / NS_PER_MS,
        mean_ms=mean_ns / NS_PER_MS,
        cv=float(ordered.std(ddof=1)) / mean_ns if len(ordered) > 1 and mean_ns else None,
        fps=1000 / median_ms if median_ms else None,
    )


def nearest_rank(percent: int, count: int) -> int:
    """Return the rank, from 1, of the percentile among count ordered samples."""
    return max(1, -(-percent * count // 100))


def median_ranks(count: int) -> tuple[int, int] | None:
    """Return the ranks, from 1, of the ordered samples that enclose the median with 95 % confidence.

    Distribution-free: the number of samples below the true median is binomial (count, 1/2), so the ranks are the
    innermost pair whose two tails each hold at most 2.5 %. None with fewer than 6 samples, where not even the extremes
    reach that. Presumes independent samples.
    """
    tail_limit = (1 - CONFIDENCE) / 2
    below = (count - 1) // 2
    # P(X <= below), by symmetry: a half, less half of the middle term if count is even.
    middle = _binomial_half(count, count // 2)
    tail = (1 - middle) / 2 if count % 2 == 0 else 0.5
    while below >= 0 and tail > tail_limit:
        tail -= _binomial_half(count, below)
        below -= 1
    return None if below < 0 else (below + 1, count - below)


def _binomial_half(count: int, successes: int) -> float:
    """Return the probability of so many successes in count tosses of a fair coin."""
    log_ways = math.lgamma(count + 1) - math.lgamma(successes + 1) - math.lgamma(count - successes + 1)
    return math.exp(log_ways - count * math.log(2))
