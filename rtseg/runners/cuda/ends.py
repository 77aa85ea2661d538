"""Preprocessing and tail of a frame on the GPU: kernel of native/frame_ends.cu, number of blocks, arguments.

    module = driver.load_module(driver.compile(ends.source(), name=ends.NAME, options=ends.OPTIONS))
    tail = ends.tail(logits, (19, 128, 256), labels, (1024, 2048), dtype="float16", align_corners=False)
    driver.launch(driver.kernel(module, tail.kernel), tail.grid, tail.block, tail.arguments.values(), stream)

Pointers are plain numbers; the caller must make sure that their memory is large enough. The kernels check nothing, so
this module refuses what they do not support. A launch is complete in itself and can be used repeatedly.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

from rtseg.errors import SpecError
from rtseg.frame.bilinear import MAX_SIDE, WHOLE, ratio_and_shift
from rtseg.frame.window import Window, window_of
from rtseg.runners.cuda.protocol import Grid
from rtseg.specs import COLOUR_ORDERS, MAX_CLASSES, MAX_LOGIT, ImageSpec

NAME = "frame_ends.cu"
"""Name of the source in the compiler's messages."""

OPTIONS = ("--std=c++14",)
"""Compiler options besides the architecture. Never --use_fast_math: the results would differ from the CPU's."""

BLOCK: Grid = (32, 8, 1)
"""Threads of a block, for every kernel."""

TILES = {
    "front_resize": (64, 32),
    "front_normalize": (128, 8),
    "letterbox": (64, 32),
    "tail_cells": (128, 32),
    "tail_pixels": (32, 8),
    "tail_argmax": (128, 8),
    "mask": (128, 8),
    "overlay": (128, 8),
}
"""Width and height of the output of one block."""

SUFFIXES = {"float32": "f32", "float16": "f16"}
"""Suffixes of the kernels' names, by the type of the tensor or the logits."""

KERNELS = (*(f"rtseg_{work}_{s}" for work in TILES if work != "overlay" for s in SUFFIXES.values()), "rtseg_overlay")
"""All kernels of the source."""

MAX_WINDOWED_SIDE = 1 << 18
"""Largest side of logits and labels in tail_cells for a window. Up to here rounding moves a sample by less than one
logit, so that a tile has room for its cells."""

MAX_BLOCKS = (1 << 31) - 1
"""Largest one-dimensional grid."""

Size = tuple[int, int]
"""Height and width."""


def source() -> str:
    """Return the CUDA C++ source of all kernels. It has no #include."""
    return (Path(__file__).resolve().parents[2] / "native" / NAME).read_text(encoding="utf-8")


def _passed_as(kind: type[np.generic]) -> Any:
    return dataclasses.field(metadata={"kind": kind})


class _Arguments:
    """A kernel's parameters, in order."""

    def values(self) -> tuple[np.generic, ...]:
        """Return the arguments as NumPy scalars of the parameters' types; pointers are uint64."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return tuple(field.metadata["kind"](getattr(self, field.name)) for field in fields)


@dataclass(frozen=True)
class FrontArguments(_Arguments):
    """Arguments of rtseg_front_*: a uint8 image (height, width, 3) to a tensor (3, out_height, out_width)."""

    image: int = _passed_as(np.uint64)
    height: int = _passed_as(np.int32)
    width: int = _passed_as(np.int32)
    row_bytes: int = _passed_as(np.int64)
    swap_channels: bool = _passed_as(np.int32)
    tensor: int = _passed_as(np.uint64)
    out_height: int = _passed_as(np.int32)
    out_width: int = _passed_as(np.int32)
    scale: float = _passed_as(np.float32)
    mean0: float = _passed_as(np.float32)
    mean1: float = _passed_as(np.float32)
    mean2: float = _passed_as(np.float32)
    std0: float = _passed_as(np.float32)
    std1: float = _passed_as(np.float32)
    std2: float = _passed_as(np.float32)


@dataclass(frozen=True)
class LetterboxArguments(FrontArguments):
    """Arguments of rtseg_letterbox_*: the same, and the part of the tensor that the image covers."""

    top: int = _passed_as(np.int32)
    left: int = _passed_as(np.int32)
    window_height: int = _passed_as(np.int32)
    window_width: int = _passed_as(np.int32)
    padding: int = _passed_as(np.float32)


@dataclass(frozen=True)
class TailArguments(_Arguments):
    """Arguments of rtseg_tail_*: logits (classes, h, w), strides in elements, to uint8 labels (height, width)."""

    logits: int = _passed_as(np.uint64)
    classes: int = _passed_as(np.int32)
    h: int = _passed_as(np.int32)
    w: int = _passed_as(np.int32)
    class_stride: int = _passed_as(np.int64)
    row_stride: int = _passed_as(np.int64)
    column_stride: int = _passed_as(np.int64)
    labels: int = _passed_as(np.uint64)
    height: int = _passed_as(np.int32)
    width: int = _passed_as(np.int32)
    align_corners: bool = _passed_as(np.int32)
    row_ratio: float = _passed_as(np.float32)
    row_shift: float = _passed_as(np.float32)
    column_ratio: float = _passed_as(np.float32)
    column_shift: float = _passed_as(np.float32)


@dataclass(frozen=True)
class MaskArguments(TailArguments):
    """Arguments of rtseg_mask_*: the same for one channel, and the threshold."""

    threshold: float = _passed_as(np.float32)


@dataclass(frozen=True)
class OverlayArguments(_Arguments):
    """Arguments of rtseg_overlay: a uint8 image (height, width, 3) and its labels to a uint8 RGB image."""

    image: int = _passed_as(np.uint64)
    height: int = _passed_as(np.int32)
    width: int = _passed_as(np.int32)
    row_bytes: int = _passed_as(np.int64)
    swap_channels: bool = _passed_as(np.int32)
    labels: int = _passed_as(np.uint64)
    palette: int = _passed_as(np.uint64)
    overlay: int = _passed_as(np.uint64)
    opacity: float = _passed_as(np.float32)


Arguments = Union[FrontArguments, TailArguments, OverlayArguments]
"""Letterbox and mask extend FrontArguments and TailArguments."""


@dataclass(frozen=True)
class Launch:
    """A kernel's name, its blocks, the threads of a block, and its arguments. It takes no dynamic shared memory."""

    kernel: str
    grid: Grid
    block: Grid
    arguments: Arguments


def front(
    image: int,
    size: Size,
    tensor: int,
    spec: ImageSpec,
    *,
    dtype: str = "float32",
    colour_order: str = "RGB",
    row_bytes: int | None = None,
) -> Launch:
    """Return the launch that writes the network's input, dtype (3, spec.height, spec.width), from an image.

    image is uint8 (*size, 3) with channels in colour_order; row_bytes is the distance of its rows, by default 3 *
    width. float32 values are those of rtseg.frame.preprocess; float16 values are the same, rounded to nearest.

    Raises SpecError for arguments that the kernels do not support.
    """
    height, width = _require_size("image", size)
    given = (
        *(image, height, width, _row_bytes(row_bytes, width), _swap(colour_order, spec.colour_order)),
        *(tensor, spec.height, spec.width),
        *(spec.scale, *spec.mean, *spec.std),
    )
    window = window_of(spec, height, width)
    if window is not None:
        covered = (window.top, window.left, window.height, window.width)
        letterboxed = LetterboxArguments(*given, *covered, spec.padding)
        return _launch("letterbox", dtype, spec.height, spec.width, letterboxed)
    work = "front_normalize" if size == (spec.height, spec.width) else "front_resize"
    return _launch(work, dtype, spec.height, spec.width, FrontArguments(*given))


def tail(
    logits: int,
    shape: tuple[int, int, int],
    labels: int,
    size: Size,
    *,
    align_corners: bool,
    dtype: str = "float32",
    strides: tuple[int, int, int] | None = None,
    threshold: float | None = None,
    window: Window | None = None,
) -> Launch:
    """Return the launch that writes the label map, uint8 of that size, for logits of a shape.

    shape is (classes, h, w), or (1, h, w) with a threshold. strides are the distances between classes, rows and columns
    in elements, by default those of contiguous logits; see also channels_last. window is the part of the network's
    input that the image covers; None means all of it. Labels equal those of rtseg.frame.tail; float16 logits are first
    converted to float32.

    Raises SpecError for arguments that the kernels do not support.
    """
    classes, h, w = shape
    least, most = (2, MAX_CLASSES) if threshold is None else (1, 1)
    if not least <= classes <= most:
        raise SpecError("the number of classes is out of range", got=classes, expected=f"{least} to {most}")
    if threshold is not None and not -MAX_LOGIT <= threshold <= MAX_LOGIT:
        raise SpecError("the threshold is out of range", got=threshold, expected="-1e30 to 1e30")
    _require_size("logits", (h, w))
    height, width = _require_size("label map", size)
    rows, columns = (WHOLE, WHOLE) if window is None else (window.rows, window.columns)
    arguments = (
        *(logits, classes, h, w, *(strides or (h * w, w, 1))),
        *(labels, height, width, align_corners),
        *ratio_and_shift(h, height, align_corners=align_corners, part=rows),
        *ratio_and_shift(w, width, align_corners=align_corners, part=columns),
    )
    if threshold is not None:
        return _launch("mask", dtype, height, width, MaskArguments(*arguments, threshold))
    return _launch(_tail_for((h, w), size, window), dtype, height, width, TailArguments(*arguments))


def _tail_for(logits: Size, labels: Size, window: Window | None) -> str:
    if window is None or window.is_whole:
        if logits == labels:
            return "tail_argmax"
        return "tail_cells" if logits[0] <= labels[0] and logits[1] <= labels[1] else "tail_pixels"
    grows = all(
        inputs * part.length <= outputs * part.canvas and max(inputs, outputs) <= MAX_WINDOWED_SIDE
        for inputs, outputs, part in zip(logits, labels, (window.rows, window.columns))
    )
    return "tail_cells" if grows else "tail_pixels"


def channels_last(shape: tuple[int, int, int], multiple: int = 8) -> tuple[int, int, int]:
    """Return the strides of logits with adjacent classes, padded to a multiple: TensorRT's HWC8 and HWC."""
    classes, _, w = shape
    padded = -(-classes // multiple) * multiple
    return 1, w * padded, padded


def overlay(
    image: int,
    size: Size,
    labels: int,
    palette: int,
    overlay: int,
    *,
    opacity: float = 0.5,
    colour_order: str = "RGB",
    row_bytes: int | None = None,
) -> Launch:
    """Return the launch that writes a uint8 RGB image of that size: the image with the class colours blended over it.

    labels are uint8 of the image's size; palette is uint8 (256, 3), as rtseg.frame.palette.colour_table gives it. The
    pixels equal those of rtseg.frame.palette.overlay if opacity is a multiple of 1/256. Otherwise, because float32 is
    used here, a value halfway between two integers may be rounded to the other one.

    Raises SpecError for arguments that the kernel does not support.
    """
    height, width = _require_size("image", size)
    if not 0 <= opacity <= 1:
        raise SpecError("the opacity is out of range", got=opacity, expected="0 to 1")
    arguments = OverlayArguments(
        *(image, height, width, _row_bytes(row_bytes, width), _swap(colour_order, "RGB")),
        *(labels, palette, overlay, opacity),
    )
    return _launch("overlay", None, height, width, arguments)


def _launch(work: str, dtype: str | None, height: int, width: int, arguments: Arguments) -> Launch:
    if dtype is not None and dtype not in SUFFIXES:
        raise SpecError("no kernel takes this type", got=dtype, expected=f"one of {', '.join(SUFFIXES)}")
    tile_width, tile_height = TILES[work]
    blocks = math.ceil(width / tile_width) * math.ceil(height / tile_height)
    if blocks > MAX_BLOCKS:
        raise SpecError("too large for one launch", got=f"{height}x{width}", expected=f"at most {MAX_BLOCKS} blocks")
    kernel = f"rtseg_{work}" if dtype is None else f"rtseg_{work}_{SUFFIXES[dtype]}"
    return Launch(kernel, (blocks, 1, 1), BLOCK, arguments)


def _require_size(what: str, size: Size) -> Size:
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise SpecError(f"the size of the {what} is out of range", got=size, expected=f"sides of 1 to {MAX_SIDE}")
    return size


def _row_bytes(row_bytes: int | None, width: int) -> int:
    if row_bytes is not None and abs(row_bytes) < 3 * width:
        raise SpecError("the image's rows overlap", got=f"{row_bytes} bytes a row", expected=f"{3 * width} or more")
    return 3 * width if row_bytes is None else row_bytes


def _swap(colour_order: str, wanted: str) -> bool:
    if colour_order not in COLOUR_ORDERS:
        raise SpecError("unknown colour order", got=repr(colour_order), expected=f"one of {', '.join(COLOUR_ORDERS)}")
    return colour_order != wanted
