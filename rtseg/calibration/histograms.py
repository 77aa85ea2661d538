"""Streaming histograms of magnitudes: what calibration keeps of all the values it has seen.

A histogram has a fixed number of bins that begin at zero, each 2^e wide. When a greater magnitude arrives, the width
doubles and each two neighbouring bins become one: exactly the histogram with the wider bins. So the memory is fixed,
and the histogram depends only on the values, not on their order or their batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.calibration.counting import BINS, MIN_EXPONENT, Counts, Values, count_magnitudes, value_range


class NotFiniteError(ValueError):
    """A value to count is NaN or infinite."""


@dataclass(frozen=True)
class Histogram:
    """The magnitudes of one tensor's values: counts[i] is how many lie from i * width to (i + 1) * width.

    The exact zeros, which counts[0] includes, are also counted separately: every INT8 scale represents them exactly.
    """

    counts: Counts
    width: float
    minimum: float
    maximum: float
    zeros: int

    @property
    def count(self) -> int:
        """The number of values."""
        return int(self.counts.sum())

    @property
    def magnitude(self) -> float:
        """The greatest magnitude, exactly."""
        return max(-self.minimum, self.maximum, 0.0)

    @property
    def bins(self) -> int:
        """How many bins, from the first, it takes to reach the greatest magnitude."""
        return int(np.flatnonzero(self.counts)[-1]) + 1 if self.counts.any() else 0

    def nonzero_counts(self) -> NDArray[np.float64]:
        """Return the counts of the bins up to the greatest magnitude, without exact zeros, as float64."""
        counts = self.counts[: self.bins].astype(np.float64)
        counts[:1] -= self.zeros
        return counts


class HistogramSet:
    """A streaming histogram for each of some tensors. Memory depends only on the number of tensors."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._rows = {name: row for row, name in enumerate(self.names)}
        self._counts = np.zeros((len(self.names), BINS), np.uint64)
        self._exponents = np.full(len(self.names), MIN_EXPONENT, np.int32)
        self._minima = np.full(len(self.names), np.inf, np.float32)
        self._maxima = np.full(len(self.names), -np.inf, np.float32)
        self._zeros = np.zeros(len(self.names), np.uint64)

    def add(self, name: str, values: Values, *, threads: int = 0) -> None:
        """Count float32 values, at least one, of any shape. Raises NotFiniteError before counting any of them."""
        found = value_range(values, threads=threads)
        if found is None:
            raise NotFiniteError(name)
        row = self._rows[name]
        self._minima[row] = min(self._minima[row], np.float32(found.minimum))
        self._maxima[row] = max(self._maxima[row], np.float32(found.maximum))
        self._zeros[row] += np.uint64(found.zeros)
        exponent = bin_exponent(max(-found.minimum, found.maximum))
        if exponent > self._exponents[row]:
            self._counts[row] = _widened(self._counts[row], exponent - int(self._exponents[row]))
            self._exponents[row] = exponent
        count_magnitudes(values, int(self._exponents[row]), self._counts[row], threads=threads)

    def histogram(self, name: str) -> Histogram:
        """Return the current histogram of a tensor that has at least one value."""
        row = self._rows[name]
        return Histogram(
            self._counts[row].copy(),
            math.ldexp(1.0, int(self._exponents[row])),
            float(self._minima[row]),
            float(self._maxima[row]),
            int(self._zeros[row]),
        )

    def copy(self) -> HistogramSet:
        """Return an independent copy."""
        return HistogramSet.from_arrays(self.names, {name: array.copy() for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the content without the names, as arrays of one row for each tensor; they are not copies."""
        return {
            "counts": self._counts,
            "exponents": self._exponents,
            "minima": self._minima,
            "maxima": self._maxima,
            "zeros": self._zeros,
        }

    @classmethod
    def from_arrays(cls, names: Sequence[str], arrays: Mapping[str, NDArray[Any]]) -> HistogramSet:
        """Return the set that arrays() described; it uses the arrays given. Raises ValueError if they do not fit."""
        made = cls(names)
        for name, expected in made.arrays().items():
            given = arrays.get(name)
            if given is None or given.shape != expected.shape or given.dtype != expected.dtype:
                raise ValueError(f"{name} is not an array of such a set")
            setattr(made, f"_{name}", given)
        return made


def bin_exponent(magnitude: float) -> int:
    """Return the exponent of the narrowest bins that reach that magnitude; it falls into their upper half."""
    if magnitude == 0:
        return MIN_EXPONENT
    return max(math.frexp(magnitude)[1] - (BINS - 1).bit_length(), MIN_EXPONENT)


def _widened(counts: Counts, doublings: int) -> Counts:
    """Return the counts for bins that are 2 ** doublings as wide."""
    merged = min(BINS, 1 << min(doublings, BINS.bit_length()))
    wide = np.zeros_like(counts)
    wide[: BINS // merged] = counts.reshape(-1, merged).sum(axis=1)
    return wide
