"""Where a letterboxed image lies: one factor, whole pixels, in the middle; in Python and in C++ alike."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import SpecError
from rtseg.frame import native_library
from rtseg.frame.native_library import CoreWindow
from rtseg.frame.window import Window, window_of
from rtseg.specs import MAX_SIDE, MIN_SIDE, ImageSpec

SIDES = st.integers(1, 5000)
CANVASES = st.tuples(st.integers(MIN_SIDE, 2048), st.integers(MIN_SIDE, 2048))


def letterbox(height: int, width: int) -> ImageSpec:
    return ImageSpec(height, width, fit="letterbox")


@pytest.mark.parametrize(
    ("canvas", "image", "expected"),
    [
        ((640, 640), (480, 640), (80, 0, 480, 640)),
        ((640, 640), (1080, 1920), (140, 0, 360, 640)),
        ((640, 640), (375, 500), (80, 0, 480, 640)),
        ((640, 640), (100, 50), (0, 160, 640, 320)),
        ((640, 640), (427, 640), (106, 0, 427, 640)),
        ((512, 1024), (720, 1280), (0, 57, 512, 910)),
        ((64, 96), (1, 1), (0, 16, 64, 64)),
        ((64, 96), (1, 5000), (31, 0, 1, 96)),
        ((64, 96), (5000, 1), (0, 47, 64, 1)),
        ((64, 64), (64, 5), (0, 29, 64, 5)),
        ((32, 32), (64, 5), (0, 15, 32, 2)),
        ((32, 32), (64, 7), (0, 14, 32, 4)),
    ],
    ids=str,
)
def test_an_image_lies_where_other_tools_put_it(
    canvas: tuple[int, int], image: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert window_of(letterbox(*canvas), *image) == Window(*canvas, *expected)


@given(CANVASES, SIDES, SIDES)
@settings(max_examples=300)
def test_an_image_touches_two_edges_and_is_in_the_middle_of_the_others(
    canvas: tuple[int, int], height: int, width: int
) -> None:
    spec = letterbox(*canvas)
    window = window_of(spec, height, width) or Window(*canvas, 0, 0, *canvas)
    assert window.height == spec.height or window.width == spec.width
    for side, begin, length in (window.rows, window.columns):
        assert 0 <= side - begin - length - begin <= 1
    factor = min(spec.height / height, spec.width / width)
    for length, image in ((window.height, height), (window.width, width)):
        assert length == 1 or abs(length - image * factor) <= 0.5


@given(CANVASES, SIDES, SIDES)
@settings(max_examples=300)
def test_the_core_puts_an_image_where_python_does(canvas: tuple[int, int], height: int, width: int) -> None:
    library = native_library.core()
    if library is None:
        pytest.skip(native_library.why_none())
    made = CoreWindow()
    assert library.rtseg_letterbox_window(height, width, *canvas, ctypes.byref(made)) == 0
    found = Window(*(getattr(made, name) for name, _ in CoreWindow._fields_))
    assert found == (window_of(letterbox(*canvas), height, width) or Window(*canvas, 0, 0, *canvas))


@given(SIDES, SIDES)
def test_a_stretched_image_and_one_of_the_same_shape_have_no_window(height: int, width: int) -> None:
    assert window_of(ImageSpec(64, 96), height, width) is None
    assert window_of(letterbox(64, 96), 32 * 7, 48 * 7) is None


def test_a_window_cuts_its_part_out_of_an_array() -> None:
    canvas = np.arange(2 * 20 * 30).reshape(2, 20, 30)
    cut = Window(20, 30, 3, 5, 4, 6).cut(canvas)
    np.testing.assert_array_equal(cut, canvas[:, 3:7, 5:11])
    assert np.shares_memory(cut, canvas)


@pytest.mark.parametrize(
    "places", [(20, 30, -1, 0, 4, 4), (20, 30, 0, 27, 4, 4), (20, 30, 0, 0, 0, 4), (0, 30, 0, 0, 1, 1)], ids=str
)
def test_a_window_that_is_not_inside_is_refused(places: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="not inside the network's input"):
        Window(*places)


def test_the_largest_sizes_have_windows() -> None:
    assert window_of(letterbox(64, MAX_SIDE), 1 << 23, 1) == Window(64, MAX_SIDE, 0, (MAX_SIDE - 1) // 2, 64, 1)
