"""Label maps in other sizes. Needs NumPy only, as it runs on the deployment target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]


def resize_labels(labels: Labels, height: int, width: int) -> Labels:
    """Return labels at height x width, each pixel taking the one under its centre; always a new array."""
    if labels.shape == (height, width):
        return labels.copy()
    rows = _nearest(labels.shape[0], height)
    columns = _nearest(labels.shape[1], width)
    return labels[rows[:, None], columns[None, :]]


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    centres = (np.arange(target, dtype=np.float64) + 0.5) * source / target
    return np.minimum(centres.astype(np.intp), source - 1)
