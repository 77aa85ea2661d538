"""Workspaces of the core, asked for what cannot be: the code of each bad argument, and outputs left alone."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rtseg
from rtseg.frame.native_library import CorePixels, CoreWindow
from tests.native.workspaces import MEAN, SCALE, STD, whole, workspace_of

HEADER = (Path(rtseg.__file__).parent / "native" / "rtseg_core.h").read_text(encoding="utf-8")
CODES = {name: int(code) for name, code in re.findall(r"^    (RTSEG_\w+) = (-?\d+)", HEADER, re.MULTILINE)}


def test_a_workspace_needs_a_place_and_a_number_of_threads(library: ctypes.CDLL) -> None:
    made = ctypes.c_void_p(77)
    assert library.rtseg_workspace_create(-1, made) == CODES["RTSEG_BAD_VALUE"]
    assert library.rtseg_workspace_create(1, None) == CODES["RTSEG_NULL_POINTER"]
    assert made.value == 77


def test_destroying_no_workspace_is_left_aside(library: ctypes.CDLL) -> None:
    assert library.rtseg_workspace_destroy(None) is None


@pytest.fixture(scope="module")
def workspace(library: ctypes.CDLL) -> Iterator[int]:
    with workspace_of(library, 2) as workspace:
        yield workspace


IMAGE = np.zeros((4, 5, 4), np.uint8)
TENSOR = np.full((3, 8, 9), 77, np.float32)
BAD = np.array([1, np.nan, 1], np.float32)
PIXELS = {"data": IMAGE.ctypes.data, "height": 4, "width": 5, "row_bytes": 20, "pixel_bytes": 4, "channel": (0, 1, 2)}
LOGITS = np.zeros((3, 4, 5), np.float32)
LABELS = np.full((8, 9), 77, np.uint8)
WINDOW = CoreWindow(40, 50, 4, 5, 32, 40)
OUTSIDE = [CoreWindow(40, 50, -1, 5, 32, 40), CoreWindow(40, 50, 4, 11, 32, 40), CoreWindow(0, 50, 0, 0, 0, 40)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"data": None}, "RTSEG_NULL_POINTER"),
        *(({side: value}, "RTSEG_BAD_SIZE") for side in ("height", "width") for value in (0, -1, 8388609)),
        *(({"row_bytes": row_bytes}, "RTSEG_BAD_SIZE") for row_bytes in (0, 19, -19)),
        *(({"pixel_bytes": pixel_bytes}, "RTSEG_BAD_VALUE") for pixel_bytes in (-1, 0, 2, 5)),
        *(({"channel": channel}, "RTSEG_BAD_VALUE") for channel in ((0, 1, 4), (-1, 1, 2), (0, 2**31 - 1, 2))),
        ({"pixel_bytes": 3, "channel": (0, 1, 3)}, "RTSEG_BAD_VALUE"),
        ({"pixel_bytes": 1, "channel": (0, 0, 1)}, "RTSEG_BAD_VALUE"),
    ],
)
def test_pixels_that_cannot_be_are_refused_with_their_code(
    library: ctypes.CDLL, workspace: int, changed: dict[str, object], code: str
) -> None:
    pixels = CorePixels(**{**PIXELS, **changed})
    numbers = SCALE, MEAN.ctypes.data, STD.ctypes.data, TENSOR.ctypes.data
    assert library.rtseg_workspace_tensor(workspace, pixels, whole(8, 9), 0, *numbers) == CODES[code]
    assert (TENSOR == 77).all()


TO_TENSOR = [CorePixels(**PIXELS), whole(8, 9), 0, SCALE, MEAN.ctypes.data, STD.ctypes.data, TENSOR.ctypes.data]
TO_LABELS = [LOGITS.ctypes.data, 3, 4, 5, WINDOW, LABELS.ctypes.data, 8, 9, 9, 0]
TO_MASK = [LOGITS.ctypes.data, 4, 5, 0.5, WINDOW, LABELS.ctypes.data, 8, 9, 9, 0]


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 1, 4, 5, 6)),
        *((1, window, "RTSEG_BAD_SIZE") for window in OUTSIDE),
        *((2, padding, "RTSEG_BAD_VALUE") for padding in (-1, 256)),
        *((3, scale, "RTSEG_BAD_VALUE") for scale in (0.0, -1.0, float("nan"), float("inf"))),
        pytest.param(4, BAD.ctypes.data, "RTSEG_BAD_VALUE", id="mean is not finite"),
        pytest.param(5, BAD.ctypes.data, "RTSEG_BAD_VALUE", id="std is not finite"),
    ],
)
def test_the_tensor_answers_a_bad_argument_with_its_code(
    library: ctypes.CDLL, workspace: int, position: int, value: object, code: str
) -> None:
    arguments = [*TO_TENSOR[:position], value, *TO_TENSOR[position + 1 :]]
    assert library.rtseg_workspace_tensor(workspace, *arguments) == CODES[code]
    assert (TENSOR == 77).all()


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 5)),
        *((1, classes, "RTSEG_BAD_CLASSES") for classes in (-3, 1, 257)),
        *((position, value, "RTSEG_BAD_SIZE") for position in (2, 3, 6, 7) for value in (0, -1, 8388609)),
        *((4, window, "RTSEG_BAD_SIZE") for window in OUTSIDE),
        *((8, row_bytes, "RTSEG_BAD_SIZE") for row_bytes in (0, 8, -8)),
    ],
)
def test_the_labels_answer_a_bad_argument_with_its_code(
    library: ctypes.CDLL, workspace: int, position: int, value: object, code: str
) -> None:
    arguments = [*TO_LABELS[:position], value, *TO_LABELS[position + 1 :]]
    assert library.rtseg_workspace_labels(workspace, *arguments) == CODES[code]
    assert (LABELS == 77).all()


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 5)),
        *((position, value, "RTSEG_BAD_SIZE") for position in (1, 2, 6, 7) for value in (0, -1, 8388609)),
        *((3, threshold, "RTSEG_BAD_VALUE") for threshold in (float("nan"), float("inf"), -2e30, 2e30)),
        *((4, window, "RTSEG_BAD_SIZE") for window in OUTSIDE),
        *((8, row_bytes, "RTSEG_BAD_SIZE") for row_bytes in (0, 8, -8)),
    ],
)
def test_the_mask_of_a_workspace_answers_a_bad_argument_with_its_code(
    library: ctypes.CDLL, workspace: int, position: int, value: object, code: str
) -> None:
    arguments = [*TO_MASK[:position], value, *TO_MASK[position + 1 :]]
    assert library.rtseg_workspace_mask(workspace, *arguments) == CODES[code]
    assert (LABELS == 77).all()


def test_no_call_works_in_no_workspace(library: ctypes.CDLL) -> None:
    calls = (library.rtseg_workspace_tensor, TO_TENSOR), (library.rtseg_workspace_labels, TO_LABELS)
    for call, arguments in (*calls, (library.rtseg_workspace_mask, TO_MASK)):
        assert call(None, *arguments) == CODES["RTSEG_NULL_POINTER"]
    assert (TENSOR == 77).all() and (LABELS == 77).all()
