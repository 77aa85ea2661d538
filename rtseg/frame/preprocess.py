"""Preprocessing, image to tensor as ImageSpec describes it: by the C++ core or, without it, by NumPy."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import ImageError, SpecError
from rtseg.frame import native_library
from rtseg.frame.bilinear import MAX_SIDE, Axis
from rtseg.frame.native_library import CorePixels, CoreWindow, core_window, require_done
from rtseg.frame.window import Window, window_of
from rtseg.frame.workspaces import Workspaces
from rtseg.specs import COLOUR_ORDERS, ImageSpec

Pixels = NDArray[np.uint8]
Tensor = NDArray[np.float32]

ROWS_AT_ONCE = 32
"""Values of the tensor that NumPy computes at once: bounds the memory, and keeps intermediate results in the cache."""


def tensor_from_image(
    image: Pixels,
    spec: ImageSpec,
    *,
    colour_order: str = "RGB",
    threads: int = 0,
    workspaces: Workspaces | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Return the network's input, float32 (3, spec.height, spec.width), for an image of any size.

    image is uint8 (height, width, 3), its channels in colour_order. Gaps between rows, and rows stored bottom up, cost
    nothing; any other layout is copied first. An image of the spec's size is not interpolated: each value is exactly
    (pixel * scale - mean) / std in float32. The same holds for a letterboxed image that needs no scaling.

    threads limits the cores used; 0 uses all. workspaces lend memory and threads instead, and their own limit applies;
    without them both are allocated for the call. If out, of the result's type and shape and C-contiguous, is given, it
    is filled and returned instead of a new array. Safe to call from several threads at once.

        tensor = tensor_from_image(image, spec)[None]

    Raises ImageError if image is not such an image, and SpecError for any other impossible argument.
    """
    _require_arguments(image, colour_order, threads)
    tensor = np.empty((3, spec.height, spec.width), np.float32) if out is None else out
    _require_tensor(tensor, spec)
    library = native_library.core()
    swap = colour_order != spec.colour_order
    window = window_of(spec, *image.shape[:2])
    if library is None:
        _numpy_tensor(image[..., ::-1] if swap else image, spec, tensor, window)
    else:
        _native_tensor(library, image, spec, tensor, window, swap=swap, threads=threads, workspaces=workspaces)
    return tensor


def resized_image(
    image: Pixels,
    spec: ImageSpec,
    *,
    colour_order: str = "RGB",
    threads: int = 0,
    workspaces: Workspaces | None = None,
    out: Pixels | None = None,
) -> Pixels:
    """Return uint8 (spec.height, spec.width, 3) in the spec's colour order, resized but not normalised.

    For graphs that normalise themselves. An image of the spec's size keeps its values; others are rounded to the
    nearest integer, halves to even. threads and workspaces are as in tensor_from_image. The result is never the image
    itself: it is a new array, or out, of the result's type and shape, which is filled.

    Raises ImageError if image is not such an image, and SpecError for any other impossible argument.
    """
    _require_arguments(image, colour_order, threads)
    resized = np.empty((spec.height, spec.width, 3), np.uint8) if out is None else out
    _require_resized(resized, spec)
    if image.shape[:2] == (spec.height, spec.width):
        np.copyto(resized, image if colour_order == spec.colour_order else image[..., ::-1])
        return resized
    plain = replace(spec, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    tensor = tensor_from_image(image, plain, colour_order=colour_order, threads=threads, workspaces=workspaces)
    np.copyto(resized, np.rint(tensor, out=tensor).astype(np.uint8).transpose(1, 2, 0))
    return resized


def _native_tensor(
    library: ctypes.CDLL,
    image: Pixels,
    spec: ImageSpec,
    tensor: Tensor,
    window: Window | None,
    *,
    swap: bool,
    threads: int,
    workspaces: Workspaces | None,
) -> None:
    height, width, _ = image.shape
    if image.strides[1:] != (3, 1) or abs(image.strides[0]) < 3 * width:
        image = image.copy(order="C")  # NumPy calls a single row or column contiguous, whatever its strides are
    mean, std = (np.array(values, np.float32) for values in (spec.mean, spec.std))
    given = (image.ctypes.data, height, width, image.strides[0])
    made = (spec.scale, mean.ctypes.data, std.ctypes.data, tensor.ctypes.data)
    place = core_window(window) or CoreWindow(spec.height, spec.width, 0, 0, spec.height, spec.width)
    if workspaces is None:
        code = library.rtseg_letterbox_from_image(*given, int(swap), place, spec.padding, *made, threads)
    else:
        pixels = CorePixels(*given, 3, (2, 1, 0) if swap else (0, 1, 2))
        with workspaces.lent(library) as workspace:
            code = library.rtseg_workspace_tensor(workspace, pixels, place, spec.padding, *made)
    require_done(library, code)


def _numpy_tensor(image: Pixels, spec: ImageSpec, tensor: Tensor, window: Window | None) -> None:
    """Fill the tensor as native/preprocess.cpp does, bit for bit."""
    if window is not None:
        tensor[...] = _normalized(np.full((3, 1, 1), spec.padding, np.float32), spec)
        tensor = window.cut(tensor)
    _, height, width = tensor.shape
    if image.shape[:2] == (height, width):
        table = _normalized(np.repeat(np.arange(256, dtype=np.float32)[None], 3, axis=0)[:, None], spec)
        for channel in range(3):
            np.take(table[channel, 0], image[..., channel], out=tensor[channel])
        return
    rows = Axis.of(image.shape[0], height, align_corners=False)
    columns = Axis.of(image.shape[1], width, align_corners=False)
    for start in range(0, height, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        near, far = rows.near[some], rows.far[some]
        source = np.unique(np.concatenate([near, far]))
        planes = image[source].transpose(2, 0, 1).astype(np.float32)
        wide = columns.near_weight * planes[:, :, columns.near] + columns.far_weight * planes[:, :, columns.far]
        above, below = wide[:, np.searchsorted(source, near)], wide[:, np.searchsorted(source, far)]
        blended = rows.near_weight[some, None] * above + rows.far_weight[some, None] * below
        tensor[:, some] = _normalized(blended, spec)


def _normalized(values: Tensor, spec: ImageSpec) -> Tensor:
    """Return (values * scale - mean) / std for values (3, rows, columns), each step in float32."""
    mean, std = (np.array(per_channel, np.float32)[:, None, None] for per_channel in (spec.mean, spec.std))
    normalized: Tensor = (values * np.float32(spec.scale) - mean) / std
    return normalized


def require_image(image: Pixels) -> None:
    """Raise ImageError unless image is a uint8 (height, width, 3) array with sides in range."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError("not an image", got=_described(image), expected="uint8 (height, width, 3)")
    if not (1 <= image.shape[0] <= MAX_SIDE and 1 <= image.shape[1] <= MAX_SIDE):
        raise ImageError("the size of the image is out of range", got=image.shape, expected=f"sides of 1 to {MAX_SIDE}")


def _require_arguments(image: Pixels, colour_order: str, threads: int) -> None:
    require_image(image)
    if colour_order not in COLOUR_ORDERS:
        raise SpecError("unknown colour order", got=repr(colour_order), expected=f"one of {', '.join(COLOUR_ORDERS)}")
    if threads < 0:
        raise SpecError("the number of threads is negative", got=threads, expected="0 (all cores) or more")


def _require_tensor(tensor: Tensor, spec: ImageSpec) -> None:
    shape = (3, spec.height, spec.width)
    if not isinstance(tensor, np.ndarray) or tensor.dtype != np.float32 or tensor.shape != shape:
        raise SpecError("out cannot hold the tensor", got=_described(tensor), expected=f"float32 {shape}")
    if not (tensor.flags.c_contiguous and tensor.flags.aligned and tensor.flags.writeable):
        raise SpecError(
            "out cannot hold the tensor", got="a view with gaps, or read-only", hint="allocate it with numpy.empty"
        )


def _require_resized(resized: Pixels, spec: ImageSpec) -> None:
    shape = (spec.height, spec.width, 3)
    if not isinstance(resized, np.ndarray) or resized.dtype != np.uint8 or resized.shape != shape:
        raise SpecError("out cannot hold the image", got=_described(resized), expected=f"uint8 {shape}")
    if not resized.flags.writeable:
        raise SpecError("out cannot hold the image", got="a read-only array", hint="allocate it with numpy.empty")


def _described(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
