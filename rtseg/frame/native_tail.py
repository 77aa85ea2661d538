"""The tail in the C++ core."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from rtseg.frame.native_library import require_done


def native_labels(
    library: ctypes.CDLL,
    logits: NDArray[np.float32],
    labels: NDArray[np.uint8],
    *,
    align_corners: bool,
    threads: int,
) -> None:
    """Fill labels, of any size, from valid logits (see labels_from_logits)."""
    code = library.rtseg_labels_from_logits(
        logits.ctypes.data, *logits.shape, labels.ctypes.data, *labels.shape, int(align_corners), threads
    )
    require_done(library, code)
