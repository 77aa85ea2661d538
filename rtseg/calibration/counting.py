"""The counting behind calibration: minimum, maximum and magnitudes of a tensor's values.

The C++ core does it, or NumPy without the core; the results are the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtseg.frame import native_library
from rtseg.frame.native_library import NOT_FINITE, require_done

Values = NDArray[np.float32]
Counts = NDArray[np.uint64]

BINS = 4096
MIN_EXPONENT, MAX_EXPONENT = -126, 116
"""Bins are 2 to the power of one of these wide; with the last, the greatest float32 falls into the last bin."""

VALUES_AT_ONCE = 1 << 16
"""Values that NumPy takes at once: bounds the memory, and keeps intermediate results in the CPU's cache."""


class ValueRange(NamedTuple):
    """The minimum and the maximum of some values, never -0, and how many of them are zero."""

    minimum: float
    maximum: float
    zeros: int


def value_range(values: Values, *, threads: int = 0) -> ValueRange | None:
    """Return the range of float32 values, at least one, of any shape; None if one of them is NaN or infinite."""
    library = native_library.core()
    if library is None:
        return _numpy_range(values)
    values = np.ascontiguousarray(values)
    extremes, zeros = np.empty(2, np.float32), np.empty(1, np.uint64)
    code = library.rtseg_value_range(
        *(values.ctypes.data, values.size),
        *(extremes[:1].ctypes.data, extremes[1:].ctypes.data, zeros.ctypes.data, threads),
    )
    if code == NOT_FINITE:
        return None
    require_done(library, code)
    return ValueRange(float(extremes[0]), float(extremes[1]), int(zeros[0]))


def count_magnitudes(values: Values, exponent: int, counts: Counts, *, threads: int = 0) -> None:
    """Add float32 values, at least one, to a histogram: v to counts[floor(|v| / 2 ** exponent)], exactly.

    counts are BINS uint64, C-contiguous. Values beyond the last bin, and NaN, count in the last bin.
    """
    library = native_library.core()
    if library is None:
        _numpy_count(values, exponent, counts)
        return
    values = np.ascontiguousarray(values)
    code = library.rtseg_count_magnitudes(values.ctypes.data, values.size, exponent, counts.ctypes.data, threads)
    require_done(library, code)


def _numpy_range(values: Values) -> ValueRange | None:
    minimum, maximum = np.float32(values.min()), np.float32(values.max())  # both are NaN if one value is
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        return None
    zeros = values.size - int(np.count_nonzero(values))
    return ValueRange(float(minimum + np.float32(0)), float(maximum + np.float32(0)), zeros)


def _numpy_count(values: Values, exponent: int, counts: Counts) -> None:
    """Count as native/magnitudes.cpp does, with the same result. A product with a power of two is exact."""
    per_width = np.ldexp(np.float32(1), -exponent)
    flat = values.reshape(-1)
    for start in range(0, flat.size, VALUES_AT_ONCE):
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            positions = np.fmin(np.abs(flat[start : start + VALUES_AT_ONCE]) * per_width, np.float32(BINS - 1))
        counts += np.bincount(positions.astype(np.int64), minlength=BINS).astype(np.uint64)
