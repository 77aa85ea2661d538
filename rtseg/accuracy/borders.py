"""Where a label map changes its class, and how much of each class lies there.

A lower precision changes labels at borders first, where two classes have almost the same score. A class is thin when
most of it is border; this module measures that instead of reading it from a list of names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.accuracy.confusion import Labels

BORDER_WIDTH = 3
"""Pixels on either side of a border that belong to its band."""


def border_band(labels: Labels, width: int = BORDER_WIDTH) -> NDArray[np.bool_]:
    """Return a bool mask: whether a pixel of another label is at most width pixels away, in rows, columns or diagonals.

    So the square of 2 width + 1 pixels around the pixel, cut off at the picture's edge, holds more than one label.
    Void counts as a label, so pixels next to void are border.
    """
    if not labels.size:
        return np.zeros(labels.shape, np.bool_)
    least = _running(np.minimum, _running(np.minimum, labels, width, 0), width, 1)
    greatest = _running(np.maximum, _running(np.maximum, labels, width, 0), width, 1)
    band: NDArray[np.bool_] = least != greatest
    return band


def _running(extreme: Any, labels: Labels, width: int, axis: int) -> Labels:
    """Return the extreme of the 2 width + 1 labels around each label along one axis.

    The window doubles with each pass, so it takes few passes.
    """
    # Edge labels are repeated outside the picture: every window that reaches there contains them anyway.
    running = np.moveaxis(
        np.pad(labels, [(width, width) if side == axis else (0, 0) for side in (0, 1)], "edge"), axis, 0
    )
    window, wanted = 1, 2 * width + 1
    while window < wanted:
        shift = min(window, wanted - window)
        running = extreme(running[:-shift], running[shift:])
        window += shift
    return np.moveaxis(running, 0, axis)


class BorderShare:
    """Counts each class's pixels, and how many of them lie in the border band of their label map."""

    def __init__(self) -> None:
        self._inside = np.zeros(256, np.int64)
        self._all = np.zeros(256, np.int64)

    def add(self, labels: Labels, band: NDArray[np.bool_]) -> None:
        """Count one label map; band is its border band."""
        self._inside += np.bincount(labels[band], minlength=256)
        self._all += np.bincount(labels.ravel(), minlength=256)

    def of(self, index: int) -> float | None:
        """Return the fraction of a class's pixels that lie in the band, from 0 to 1; None if it has no pixel."""
        return float(self._inside[index] / self._all[index]) if self._all[index] else None
