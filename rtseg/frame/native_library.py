"""The C++ core as a ctypes library if it was built, else None.

Declarations follow native/rtseg_core.h, which documents each function.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from rtseg.frame.window import Window

ABI_VERSION = 4
"""From native/rtseg_core.h. A library of another version is not used."""

NO_MEMORY = -5
"""RTSEG_NO_MEMORY of native/rtseg_core.h."""

NOT_FINITE = -6
"""RTSEG_NOT_FINITE of native/rtseg_core.h."""

CHOICE = "RTSEG_CORE"
"""The environment variable that disables the library if it is set to numpy."""


class CoreWindow(ctypes.Structure):
    """rtseg_window of native/rtseg_core.h."""

    _fields_ = tuple(
        (name, ctypes.c_int) for name in ("canvas_height", "canvas_width", "top", "left", "height", "width")
    )


class CorePixels(ctypes.Structure):
    """rtseg_pixels of native/rtseg_core.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("row_bytes", ctypes.c_ssize_t),
        ("pixel_bytes", ctypes.c_int),
        ("channel", ctypes.c_int * 3),
    )


_FOLDER = Path(__file__).resolve().parents[1] / "native"
_loading = threading.Lock()


def core() -> ctypes.CDLL | None:
    """Return the library for preprocessing, postprocessing and calibration's counting, or None if NumPy does the work.

    None means that no compiler was available when rtseg was installed, that the library is of another version or for
    another machine, or that RTSEG_CORE=numpy disables it; why_none says which.
    """
    return None if numpy_is_asked_for() else _found().library


def why_none() -> str:
    """Return in one line why core returns None, or "" if it does not."""
    return f"{CHOICE}=numpy is set" if numpy_is_asked_for() else _found().reason


@dataclass(frozen=True)
class _Found:
    """The library, or the reason why there is none."""

    library: ctypes.CDLL | None
    reason: str


def numpy_is_asked_for() -> bool:
    """Return whether the environment disables the library."""
    return os.environ.get(CHOICE, "").strip().lower() == "numpy"


def _found() -> _Found:
    with _loading:
        return _search()


@functools.cache
def _search() -> _Found:
    reason = f"no library in {_FOLDER}: it was installed without a C++ compiler"
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = _FOLDER / f"rtseg_core{suffix}"
        if not path.exists():
            continue
        try:
            library = ctypes.CDLL(str(path))
            version = library.rtseg_core_abi_version()
        except (OSError, AttributeError) as error:
            reason = f"{path} cannot be loaded: {error}"
            continue
        if version == ABI_VERSION:
            return _Found(_declared(library), "")
        reason = f"{path} has ABI version {version}, expected {ABI_VERSION}: install rtseg again"
    return _Found(None, reason)


def core_window(window: Window | None) -> CoreWindow | None:
    """Return the window as the library takes it, by reference; None is the whole."""
    if window is None:
        return None
    canvas = window.canvas_height, window.canvas_width
    return CoreWindow(*canvas, window.top, window.left, window.height, window.width)


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    integer, pointer, window = ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(CoreWindow)
    library.rtseg_core_message.restype = ctypes.c_char_p
    library.rtseg_core_message.argtypes = [integer]
    library.rtseg_labels_from_logits.restype = integer
    library.rtseg_labels_from_logits.argtypes = [
        *(pointer, integer, integer, integer),  # logits, classes, h, w
        *(pointer, integer, integer),  # labels, height, width
        *(integer, integer),  # align_corners, threads
    ]
    library.rtseg_labels_in_window.restype = integer
    library.rtseg_labels_in_window.argtypes = [
        *(pointer, integer, integer, integer, window),  # logits, classes, h, w, window
        *(pointer, integer, integer),  # labels, height, width
        *(integer, integer),  # align_corners, threads
    ]
    library.rtseg_mask_from_logits.restype = integer
    library.rtseg_mask_from_logits.argtypes = [
        *(pointer, integer, integer, ctypes.c_float, window),  # logits, h, w, threshold, window
        *(pointer, integer, integer),  # labels, height, width
        *(integer, integer),  # align_corners, threads
    ]
    library.rtseg_letterbox_window.restype = integer
    library.rtseg_letterbox_window.argtypes = [integer, integer, integer, integer, window]
    library.rtseg_letterbox_from_image.restype = integer
    library.rtseg_letterbox_from_image.argtypes = [
        *(pointer, integer, integer, ctypes.c_ssize_t, integer),  # image, height, width, row_bytes, swap_channels
        *(window, integer),  # window, padding
        *(ctypes.c_float, pointer, pointer),  # scale, mean, std
        *(pointer, integer),  # tensor, threads
    ]
    library.rtseg_tensor_from_image.restype = integer
    library.rtseg_tensor_from_image.argtypes = [
        *(pointer, integer, integer, ctypes.c_ssize_t, integer),  # image, height, width, row_bytes, swap_channels
        *(integer, integer),  # out_height, out_width
        *(ctypes.c_float, pointer, pointer),  # scale, mean, std
        *(pointer, integer),  # tensor, threads
    ]
    library.rtseg_workspace_create.restype = integer
    library.rtseg_workspace_create.argtypes = [integer, ctypes.POINTER(pointer)]  # threads, workspace
    library.rtseg_workspace_destroy.restype = None
    library.rtseg_workspace_destroy.argtypes = [pointer]
    library.rtseg_workspace_tensor.restype = integer
    library.rtseg_workspace_tensor.argtypes = [
        *(pointer, ctypes.POINTER(CorePixels), window, integer),  # workspace, image, window, padding
        *(ctypes.c_float, pointer, pointer, pointer),  # scale, mean, std, tensor
    ]
    library.rtseg_workspace_labels.restype = integer
    library.rtseg_workspace_labels.argtypes = [
        *(pointer, pointer, integer, integer, integer, window),  # workspace, logits, classes, h, w, window
        *(pointer, integer, integer),  # labels, height, width
        *(ctypes.c_ssize_t, integer),  # label_row_bytes, align_corners
    ]
    library.rtseg_workspace_mask.restype = integer
    library.rtseg_workspace_mask.argtypes = [
        *(pointer, pointer, integer, integer, ctypes.c_float, window),  # workspace, logits, h, w, threshold, window
        *(pointer, integer, integer),  # labels, height, width
        *(ctypes.c_ssize_t, integer),  # label_row_bytes, align_corners
    ]
    library.rtseg_value_range.restype = integer
    library.rtseg_value_range.argtypes = [
        *(pointer, ctypes.c_size_t),  # values, count
        *(pointer, pointer, pointer, integer),  # minimum, maximum, zeros, threads
    ]
    library.rtseg_count_magnitudes.restype = integer
    library.rtseg_count_magnitudes.argtypes = [
        *(pointer, ctypes.c_size_t, integer),  # values, count, exponent
        *(pointer, integer),  # bins, threads
    ]
    return library


def require_done(library: ctypes.CDLL, code: int) -> None:
    """Raise MemoryError or RuntimeError unless code is RTSEG_OK.

    Arguments are checked before the library is called, so only a lack of memory is expected; anything else is a bug.
    """
    if code == 0:
        return
    message = library.rtseg_core_message(code).decode()
    raise MemoryError(message) if code == NO_MEMORY else RuntimeError(f"rtseg_core: {message} ({code})")
