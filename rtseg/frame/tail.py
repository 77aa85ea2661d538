"""Postprocessing on the CPU, logits to labels: upsampling, and argmax or a threshold, in one pass, at any size.

Bilinear interpolation is a convex combination of the four logits around a pixel. So between four logits with the same
argmax, that class wins everywhere and nothing needs interpolating; elsewhere only the few classes that can win are
interpolated. The result equals upsampling all scores and taking the argmax, without ever storing them. The same holds
for one channel and a threshold; native/tail.cpp explains why.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import SpecError
from rtseg.frame import native_library
from rtseg.frame.bilinear import MAX_SIDE
from rtseg.frame.native_tail import native_labels
from rtseg.frame.numpy_tail import numpy_labels
from rtseg.frame.window import Window
from rtseg.frame.workspaces import Workspaces
from rtseg.specs import MAX_CLASSES, MAX_LOGIT

__all__ = ["labels_from_logits"]


def labels_from_logits(
    logits: NDArray[np.float32],
    *,
    height: int,
    width: int,
    align_corners: bool,
    threshold: float | None = None,
    window: Window | None = None,
    threads: int = 0,
    workspaces: Workspaces | None = None,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return the label map, uint8 (height, width), for these logits.

    logits are float32 (classes, h, w), C-contiguous. A label is the argmax over classes of the logits, upsampled (or
    downsampled) bilinearly in float32 by torch's rule of that name. In a tie the lowest class wins; if two classes
    differ by less than float32 rounding, either may be returned. Logits are clamped to -1e30..1e30, and NaN counts as
    -1e30: it never beats a finite logit and does not affect its neighbours. If all are NaN the label is 0.

    With a threshold there is one channel, (1, h, w): the label is 1 where the channel, upsampled the same way, is
    greater than the threshold, else 0. Between four values above the threshold all labels are 1, between four values
    not above it all are 0. Elsewhere either label may be returned if value and threshold differ by less than float32
    rounding.

    window is the part of the network's input that the image covers; None is all of it. The logits cover the whole
    input, the labels only the image: as if the whole were upsampled at that scale and the image's part cut out.

    threads limits the cores used; 0 uses all. workspaces lend memory and threads instead, and their own limit applies;
    without them both are allocated for the call. If out, uint8 (height, width) and C-contiguous, is given, it is filled
    and returned instead of a new array. Safe to call from several threads at once.

        labels = labels_from_logits(logits, height=1024, width=2048, align_corners=False)

    Raises SpecError for any other type, shape, size or threshold.
    """
    _require_logits(logits, threshold)
    for side, length in (("height", height), ("width", width)):
        if not 1 <= length <= MAX_SIDE:
            raise SpecError(f"the {side} of a label map is out of range", got=length, expected=f"1 to {MAX_SIDE}")
    if threads < 0:
        raise SpecError("the number of threads is negative", got=threads, expected="0 (all cores) or more")
    labels = np.empty((height, width), np.uint8) if out is None else out
    require_label_map(labels, height, width)
    library = native_library.core()
    if library is None:
        numpy_labels(logits, labels, align_corners=align_corners, threshold=threshold, window=window)
    else:
        native_labels(
            *(library, logits, labels),
            align_corners=align_corners,
            threads=threads,
            threshold=threshold,
            window=window,
            workspaces=workspaces,
        )
    return labels


def _require_logits(logits: NDArray[np.float32], threshold: float | None) -> None:
    if not isinstance(logits, np.ndarray) or logits.dtype != np.float32 or logits.ndim != 3:
        raise SpecError(
            "not logits",
            got=_described(logits),
            expected="float32 (classes, h, w)",
            hint="pass one image's logits, without the batch dimension",
        )
    if threshold is not None:
        if logits.shape[0] != 1:
            raise SpecError("a threshold needs logits of one channel", got=f"{logits.shape[0]} channels")
        if not -MAX_LOGIT <= threshold <= MAX_LOGIT:
            raise SpecError("the threshold is out of range", got=threshold, expected="-1e30 to 1e30")
    elif not 2 <= logits.shape[0] <= MAX_CLASSES:
        raise SpecError("the number of classes is out of range", got=logits.shape[0], expected=f"2 to {MAX_CLASSES}")
    if not (1 <= logits.shape[1] <= MAX_SIDE and 1 <= logits.shape[2] <= MAX_SIDE):
        raise SpecError("the size of the logits is out of range", got=_described(logits), expected=f"1 to {MAX_SIDE}")
    if not (logits.flags.c_contiguous and logits.flags.aligned):
        raise SpecError(
            "the logits are not C-contiguous",
            got=f"strides {logits.strides} for shape {logits.shape}",
            hint="pass numpy.array(logits, order='C')",
        )


def require_label_map(labels: NDArray[np.uint8], height: int, width: int) -> None:
    """Raise SpecError unless a label map of that size can be written into the array."""
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.shape != (height, width):
        raise SpecError("out cannot hold the label map", got=_described(labels), expected=f"uint8 ({height}, {width})")
    if not (labels.flags.c_contiguous and labels.flags.writeable):
        raise SpecError(
            "out cannot hold the label map", got="a view with gaps, or read-only", hint="allocate it with numpy.empty"
        )


def _described(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
