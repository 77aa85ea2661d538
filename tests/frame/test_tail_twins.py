"""The C++ and the NumPy tail do the same float32 operations in the same order: no label may differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rtseg.frame import native_library
from rtseg.frame.native_tail import native_labels
from rtseg.frame.numpy_tail import numpy_labels
from rtseg.frame.window import Window

LIBRARY = native_library.core()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason=native_library.why_none() or "built")


def assert_twins(logits: np.ndarray, size: tuple[int, int], align_corners: bool, **what: Any) -> None:
    native, plain = np.full(size, 251, np.uint8), np.full(size, 252, np.uint8)
    native_labels(LIBRARY, logits, native, align_corners=align_corners, threads=0, **what)
    numpy_labels(logits, plain, align_corners=align_corners, **what)
    np.testing.assert_array_equal(native, plain)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    canvas = [draw(st.integers(1, 80)) for _ in range(2)]
    sizes = [draw(st.integers(1, side)) for side in canvas]
    return Window(*canvas, *(draw(st.integers(0, side - size)) for side, size in zip(canvas, sizes)), *sizes)


ANY_FLOAT = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(
    channel=hnp.arrays(
        np.float32,
        st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 9)),
        elements=ANY_FLOAT,
        fill=ANY_FLOAT,
    ),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    threshold=st.floats(-1e30, 1e30),
    at_a_value=st.booleans(),
    align_corners=st.booleans(),
    window=st.none() | windows(),
)
@settings(max_examples=200, deadline=None)
def test_whatever_the_channel_and_the_threshold_both_give_the_same_labels(
    channel, size, threshold, at_a_value, align_corners, window
) -> None:
    if at_a_value and abs(channel[0, 0, 0]) <= 1e30:
        threshold = float(channel[0, 0, 0])
    assert_twins(channel, size, align_corners, threshold=threshold, window=window)


@given(
    shape=st.tuples(st.integers(2, 6), st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    align_corners=st.booleans(),
    window=windows(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_whatever_the_window_both_give_the_same_labels(shape, size, align_corners, window, seed) -> None:
    logits = np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)
    assert_twins(logits, size, align_corners, window=window)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(160, 241), (16, 23), (20, 30), (333, 45)])
def test_values_within_a_few_float32_steps_of_the_threshold_fall_the_same_way(size, align_corners: bool) -> None:
    channel = 1 + np.random.default_rng(7).integers(-3, 4, (1, 20, 30)) * 2.0**-23
    assert_twins(channel.astype(np.float32), size, align_corners, threshold=1.0)


@given(
    logits=hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 6), st.integers(1, 9), st.integers(1, 9)),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
        fill=st.floats(width=32, allow_nan=True, allow_infinity=True),
    ),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    align_corners=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_logits_both_give_the_same_labels(logits, size, align_corners) -> None:
    assert_twins(logits, size, align_corners)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("classes", [2, 19, 256])
@pytest.mark.parametrize("size", [(160, 241), (16, 23), (20, 30), (333, 45)])
def test_ties_within_a_few_float32_steps_fall_the_same_way(classes: int, size, align_corners: bool) -> None:
    rng = np.random.default_rng(classes)
    logits = (1 + rng.integers(-3, 4, (classes, 20, 30)) * 2.0**-23).astype(np.float32)
    logits[classes // 2, ::3, ::2] = 2
    assert_twins(logits, size, align_corners)


def test_a_map_of_full_size_gets_the_same_labels() -> None:
    logits = np.random.default_rng(1).standard_normal((19, 64, 128)).astype(np.float32)
    assert_twins(logits, (512, 1024), False)
