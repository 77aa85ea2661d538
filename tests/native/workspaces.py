"""Calls of the core in a workspace and without one, on the same inputs."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from rtseg.frame.native_library import CorePixels, CoreWindow

SCALE = 1 / 255
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
CHANNELS = {"RGB": (0, 1, 2), "BGR": (2, 1, 0), "RGBA": (0, 1, 2), "BGRA": (2, 1, 0), "grey": (0, 0, 0)}


@contextmanager
def workspace_of(library: ctypes.CDLL, threads: int) -> Iterator[int]:
    """Lend a workspace, and destroy it."""
    made = ctypes.c_void_p()
    assert library.rtseg_workspace_create(threads, made) == 0
    try:
        yield made.value
    finally:
        library.rtseg_workspace_destroy(made)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def logits_of(classes: int, h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((classes, h, w)).astype(np.float32)


def whole(height: int, width: int) -> CoreWindow:
    return CoreWindow(height, width, 0, 0, height, width)


def laid_out(image: np.ndarray, layout: str, *, bottom_up: bool = False) -> np.ndarray:
    """Return an RGB image's pixels in another layout, with gaps between the rows and noise in what is not read.

    For grey that is the image's first channel.
    """
    height, width, _ = image.shape
    channels = CHANNELS[layout]
    pixel_bytes = max(len(layout), 3) if layout != "grey" else 1
    room = np.random.default_rng(9).integers(0, 256, (height, width + 2, pixel_bytes), np.uint8)
    view = room[::-1, :width] if bottom_up else room[:, :width]
    for mine, place in enumerate(channels[: 1 if layout == "grey" else 3]):
        view[..., place] = image[..., mine]
    return view


def pixels_of(view: np.ndarray, layout: str) -> CorePixels:
    height, width, pixel_bytes = view.shape
    return CorePixels(view.ctypes.data, height, width, view.strides[0], pixel_bytes, CHANNELS[layout])


def tensor_alone(library: ctypes.CDLL, image: np.ndarray, window: CoreWindow) -> np.ndarray:
    """Return the tensor of a contiguous RGB image by the function that keeps nothing, on one thread."""
    tensor = np.full((3, window.canvas_height, window.canvas_width), 77, np.float32)
    height, width, _ = image.shape
    numbers = SCALE, MEAN.ctypes.data, STD.ctypes.data, tensor.ctypes.data, 1
    code = library.rtseg_letterbox_from_image(image.ctypes.data, height, width, 3 * width, 0, window, 114, *numbers)
    assert code == 0
    return tensor


def tensor_in(library: ctypes.CDLL, workspace: int, pixels: CorePixels, window: CoreWindow) -> np.ndarray:
    tensor = np.full((3, window.canvas_height, window.canvas_width), 77, np.float32)
    numbers = SCALE, MEAN.ctypes.data, STD.ctypes.data, tensor.ctypes.data
    assert library.rtseg_workspace_tensor(workspace, pixels, window, 114, *numbers) == 0
    return tensor


def labels_alone(
    library: ctypes.CDLL,
    logits: np.ndarray,
    size: tuple[int, int],
    *,
    window: CoreWindow | None = None,
    aligned: bool = False,
    threshold: float | None = None,
) -> np.ndarray:
    """Return the label map of logits by the function that keeps nothing, on one thread."""
    labels = np.full(size, 77, np.uint8)
    made = window, labels.ctypes.data, *size, int(aligned), 1
    if threshold is None:
        code = library.rtseg_labels_in_window(logits.ctypes.data, *logits.shape, *made)
    else:
        code = library.rtseg_mask_from_logits(logits.ctypes.data, *logits.shape[1:], threshold, *made)
    assert code == 0
    return labels


def labels_in(
    library: ctypes.CDLL,
    workspace: int,
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    window: CoreWindow | None = None,
    aligned: bool = False,
    threshold: float | None = None,
) -> np.ndarray:
    """Fill labels, whose rows may lie apart or bottom up, in a workspace; return them."""
    made = window, labels.ctypes.data, *labels.shape, labels.strides[0], int(aligned)
    if threshold is None:
        code = library.rtseg_workspace_labels(workspace, logits.ctypes.data, *logits.shape, *made)
    else:
        code = library.rtseg_workspace_mask(workspace, logits.ctypes.data, *logits.shape[1:], threshold, *made)
    assert code == 0
    return labels
