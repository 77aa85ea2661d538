"""The tail in the C++ core."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from rtseg.frame.native_library import core_window, require_done
from rtseg.frame.window import Window


def native_labels(
    library: ctypes.CDLL,
    logits: NDArray[np.float32],
    labels: NDArray[np.uint8],
    *,
    align_corners: bool,
    threads: int,
    threshold: float | None = None,
    window: Window | None = None,
) -> None:
    """Fill labels, of any size, from valid logits (see labels_from_logits)."""
    given, made = logits.ctypes.data, (labels.ctypes.data, *labels.shape, int(align_corners), threads)
    if threshold is None:
        code = library.rtseg_labels_in_window(given, *logits.shape, core_window(window), *made)
    else:
        code = library.rtseg_mask_from_logits(given, *logits.shape[1:], threshold, core_window(window), *made)
    require_done(library, code)
