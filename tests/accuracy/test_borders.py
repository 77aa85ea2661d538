from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rtseg.accuracy.borders import BORDER_WIDTH, BorderShare, border_band

LABEL_MAPS = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 7, 255])
)


def by_definition(labels: np.ndarray, width: int) -> np.ndarray:
    """Return the band, pixel by pixel: is there another label at most width pixels away?"""
    band = np.zeros(labels.shape, bool)
    for y, x in np.ndindex(*labels.shape):
        around = labels[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
        band[y, x] = (around != labels[y, x]).any()
    return band


@given(LABEL_MAPS, st.integers(1, 6))
def test_the_band_is_where_another_label_is_near(labels: np.ndarray, width: int) -> None:
    assert border_band(labels, width).tolist() == by_definition(labels, width).tolist()


@given(LABEL_MAPS)
def test_the_band_does_not_depend_on_how_classes_are_numbered(labels: np.ndarray) -> None:
    assert (border_band(labels) == border_band(255 - labels)).all()


def test_a_straight_border_has_three_pixels_on_either_side() -> None:
    labels = np.zeros((4, 20), np.uint8)
    labels[:, 10:] = 1
    assert BORDER_WIDTH == 3
    assert np.flatnonzero(border_band(labels)[0]).tolist() == [7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize("label", [0, 3, 255])
def test_one_label_alone_has_no_border(label: int) -> None:
    assert not border_band(np.full((9, 9), label, np.uint8)).any()


def shares(labels: np.ndarray) -> BorderShare:
    counted = BorderShare()
    counted.add(labels, border_band(labels))
    return counted


def test_a_pole_is_all_border_and_a_wall_is_not() -> None:
    labels = np.zeros((20, 60), np.uint8)
    labels[:, 20:24] = 1  # no pixel of it is 3 away from what is beside it
    labels[:, 40:] = 2  # 3 of its 20 columns are near its only border
    counted = shares(labels)
    assert counted.of(1) == 1
    assert counted.of(2) == 3 / 20
    assert counted.of(0) == 9 / 36


def test_an_object_is_bounded_by_void_too() -> None:
    labels = np.full((20, 20), 255, np.uint8)
    labels[:, 10:] = 0
    assert shares(labels).of(0) == 3 / 10


def test_the_border_share_of_a_class_without_pixels_is_none() -> None:
    assert shares(np.zeros((4, 4), np.uint8)).of(1) is None


def test_border_shares_are_of_the_pixels_of_all_pictures() -> None:
    counted = BorderShare()
    for columns in (4, 20):
        labels = np.zeros((10, 40), np.uint8)
        labels[:, :columns] = 1
        counted.add(labels, border_band(labels))
    assert counted.of(1) == (3 + 3) / 24


@given(st.integers(1, 40), st.integers(4, 20), st.integers(1, 6))
def test_the_border_share_of_a_bar_falls_with_its_breadth(breadth: int, margin: int, height: int) -> None:
    labels = np.zeros((height, breadth + 2 * margin), np.uint8)
    labels[:, margin:-margin] = 1
    assert shares(labels).of(1) == min(1, 2 * BORDER_WIDTH / breadth)
