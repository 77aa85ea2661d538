"""Label maps at other sizes. Needs only NumPy, as it runs on the deployment target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]


def resize_labels(labels: Labels, height: int, width: int, *, out: Labels | None = None) -> Labels:
    """Return labels at height x width; each pixel takes the label under its centre.

    The result is never the input array: it is a new array, or out, uint8 (height, width), which is filled.
    """
    if labels.shape == (height, width):
        resized = labels
    else:
        rows = _nearest(labels.shape[0], height)
        columns = _nearest(labels.shape[1], width)
        resized = labels[rows[:, None], columns[None, :]]
    if out is not None:
        out[...] = resized
        return out
    return resized.copy() if resized is labels else resized


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    centres = (np.arange(target, dtype=np.float64) + 0.5) * source / target
    return np.minimum(centres.astype(np.intp), source - 1)
