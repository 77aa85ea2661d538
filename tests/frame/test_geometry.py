"""Label maps at other sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rtseg.frame.geometry import resize_labels

sides = st.integers(1, 6)


def labels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)


@given(sides, sides, sides)
def test_a_whole_factor_larger_each_label_is_repeated_and_smaller_again_it_comes_back(
    height: int, width: int, factor: int
) -> None:
    small = labels(height, width)
    large = resize_labels(small, height * factor, width * factor)
    np.testing.assert_array_equal(large, small.repeat(factor, 0).repeat(factor, 1))
    np.testing.assert_array_equal(resize_labels(large, height, width), small)


def test_labels_of_the_size_asked_for_come_in_a_new_array() -> None:
    given_labels = labels(3, 4)
    resized = resize_labels(given_labels, 3, 4)
    np.testing.assert_array_equal(resized, given_labels)
    assert not np.shares_memory(resized, given_labels)


@given(sides, sides, sides, sides)
def test_the_result_is_a_new_array_of_labels_that_were_there(height: int, width: int, tall: int, wide: int) -> None:
    given_labels = labels(height, width)
    resized = resize_labels(given_labels, tall, wide)
    assert resized.shape == (tall, wide) and resized.dtype == np.uint8
    assert set(resized.ravel()) <= set(given_labels.ravel())
    assert not np.shares_memory(resized, given_labels)


@given(sides, sides, sides, sides)
def test_the_array_given_as_out_is_filled_and_returned(height: int, width: int, tall: int, wide: int) -> None:
    out = np.full((tall, wide), 99, np.uint8)
    assert resize_labels(labels(height, width), tall, wide, out=out) is out
    np.testing.assert_array_equal(out, resize_labels(labels(height, width), tall, wide))
