"""Postprocessing in the C++ core: logits to labels."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from rtseg.frame.native_library import core_window, require_done
from rtseg.frame.window import Window
from rtseg.frame.workspaces import Workspaces


def native_labels(
    library: ctypes.CDLL,
    logits: NDArray[np.float32],
    labels: NDArray[np.uint8],
    *,
    align_corners: bool,
    threads: int,
    threshold: float | None = None,
    window: Window | None = None,
    workspaces: Workspaces | None = None,
) -> None:
    """Fill labels, of any size, from valid logits (see labels_from_logits)."""
    if workspaces is None:
        code = _code_of_one_call(library, logits, labels, align_corners, threads, threshold, window)
    else:
        code = _code_in_workspace(library, workspaces, logits, labels, align_corners, threshold, window)
    require_done(library, code)


def _code_of_one_call(
    library: ctypes.CDLL,
    logits: NDArray[np.float32],
    labels: NDArray[np.uint8],
    align_corners: bool,
    threads: int,
    threshold: float | None,
    window: Window | None,
) -> int:
    given, made = logits.ctypes.data, (labels.ctypes.data, *labels.shape, int(align_corners), threads)
    if threshold is None:
        code = library.rtseg_labels_in_window(given, *logits.shape, core_window(window), *made)
    else:
        code = library.rtseg_mask_from_logits(given, *logits.shape[1:], threshold, core_window(window), *made)
    return int(code)


def _code_in_workspace(
    library: ctypes.CDLL,
    workspaces: Workspaces,
    logits: NDArray[np.float32],
    labels: NDArray[np.uint8],
    align_corners: bool,
    threshold: float | None,
    window: Window | None,
) -> int:
    given = logits.ctypes.data
    made = (core_window(window), labels.ctypes.data, *labels.shape, labels.shape[1], int(align_corners))
    with workspaces.lent(library) as workspace:
        if threshold is None:
            code = library.rtseg_workspace_labels(workspace, given, *logits.shape, *made)
        else:
            code = library.rtseg_workspace_mask(workspace, given, *logits.shape[1:], threshold, *made)
    return int(code)
