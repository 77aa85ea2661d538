from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.patches import Patches, PatchGrid, evenly_spaced
from rtseg.datasets.registry import class_spec
from rtseg.errors import DatasetError


class Numbered:
    """Pictures whose pixels tell where they are: red the picture, green the row, blue the column."""

    classes = class_spec("7")

    def __init__(self, count: int, height: int, width: int) -> None:
        self._count, self._height, self._width = count, height, width
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> LabelledImage:
        self.decoded.append(index)
        rows, columns = np.mgrid[0 : self._height, 0 : self._width]
        image = np.stack([np.full_like(rows, index), rows, columns], -1).astype(np.uint8)
        return LabelledImage(f"picture{index}", image, ((rows + columns + index) % 7).astype(np.uint8))


def patches(dataset: Numbered, text: str) -> Patches:
    return Patches(dataset, PatchGrid.parse(text))


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int]:
    """A length, and windows that are not longer and enough to cover it."""
    length, side = (draw(st.integers(1, 5000)) for _ in range(2))
    length, side = max(length, side), min(length, side)
    return length, side, draw(st.integers(-(-length // side), -(-length // side) + 20))


@given(windows())
def test_windows_cover_the_length_from_edge_to_edge_and_stay_inside(drawn: tuple[int, int, int]) -> None:
    length, side, count = drawn
    starts = evenly_spaced(length, side, count)
    assert len(starts) == count
    assert (starts[0], starts[-1] + side) == (0, length)
    assert all(0 <= step <= side for step in np.diff(starts))


@given(windows())
def test_windows_are_evenly_spaced_to_the_pixel(drawn: tuple[int, int, int]) -> None:
    steps = np.diff(evenly_spaced(*drawn))
    assert steps.size == 0 or steps.max() - steps.min() <= 1


def test_affnets_grid_makes_23800_patches_of_cityscapes() -> None:
    cityscapes = patches(Numbered(2975, 1024, 2048), "2x4 of 880x880")
    assert len(cityscapes) == 23_800
    assert evenly_spaced(1024, 880, 2) == [0, 144]
    assert evenly_spaced(2048, 880, 4) == [0, 389, 778, 1168]


def test_patches_come_picture_by_picture_and_row_by_row() -> None:
    cut = patches(Numbered(2, 40, 100), "2x3 of 24x40")
    corners = [tuple(int(value) for value in cut[index].image[0, 0]) for index in range(len(cut))]
    grid = [(top, left) for top in (0, 16) for left in (0, 30, 60)]
    assert corners == [(picture, *corner) for picture in (0, 1) for corner in grid]


def test_a_patch_has_its_size_and_the_labels_of_its_pixels() -> None:
    cut = patches(Numbered(2, 40, 100), "2x3 of 24x40")
    for index in range(len(cut)):
        item = cut[index]
        assert (item.image.shape, item.labels.shape) == ((24, 40, 3), (24, 40))
        np.testing.assert_array_equal(item.labels, item.image.sum(-1, dtype=int) % 7)


def test_every_patch_has_a_name_of_its_own_that_begins_with_the_pictures() -> None:
    cut = patches(Numbered(2, 40, 100), "2x3 of 24x40")
    names = [cut[index].name for index in range(12)]
    assert len(set(names)) == 12
    assert names[0] == "picture0_row0_column0" and names[11] == "picture1_row1_column2"


def test_the_classes_are_those_of_the_pictures() -> None:
    assert patches(Numbered(1, 40, 40), "2x2 of 24x24").classes == class_spec("7")


def test_a_grid_of_one_is_the_picture() -> None:
    dataset = Numbered(1, 40, 100)
    item = patches(dataset, "1x1 of 40x100")[0]
    np.testing.assert_array_equal(item.image, dataset[0].image)


@pytest.mark.parametrize("text", ["2x3 of 24x40", "2x1 of 24x100", "1x1 of 40x100"])
def test_painting_over_a_patch_leaves_its_neighbours_as_they_are(text: str) -> None:
    cut = patches(Numbered(1, 40, 100), text)
    before = [cut[index].image.copy() for index in range(len(cut))]
    for index in range(len(cut)):
        cut[index].image[:] = 99
        cut[index].labels[:] = 99
    for index, image in enumerate(before):
        np.testing.assert_array_equal(cut[index].image, image)
        assert cut[index].labels.max() < 7


def test_nothing_is_read_before_it_is_asked_for_and_a_picture_once_for_its_patches_in_a_row() -> None:
    dataset = Numbered(3, 40, 100)
    cut = patches(dataset, "2x3 of 24x40")
    assert dataset.decoded == []
    for index in range(len(cut)):
        cut[index]
    assert dataset.decoded == [0, 1, 2]


@pytest.mark.parametrize("order", [[17, 0, 5, 12], [6, 5, 6]])
def test_the_order_of_asking_does_not_matter(order: list[int]) -> None:
    cut = patches(Numbered(3, 40, 100), "2x3 of 24x40")
    for index in order:
        fresh = patches(Numbered(3, 40, 100), "2x3 of 24x40")[index]
        assert cut[index].name == fresh.name
        np.testing.assert_array_equal(cut[index].image, fresh.image)


@pytest.mark.parametrize("index", [-1, 12])
def test_past_either_end_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        patches(Numbered(2, 40, 100), "2x3 of 24x40")[index]


@pytest.mark.parametrize("text", ["2x3 of 41x40", "1x2 of 40x101", "2x2 of 64x128"])
def test_a_picture_smaller_than_a_patch_is_refused_by_name(text: str) -> None:
    with pytest.raises(
        DatasetError, match=rf"picture0 cannot be cut .* smaller than one; got 40x100; expected a size that {text}"
    ):
        patches(Numbered(1, 40, 100), text)[0]


@pytest.mark.parametrize("text", ["1x3 of 39x40", "2x2 of 24x49"])
def test_patches_that_would_leave_gaps_are_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="picture0 cannot be cut into patches: they would leave gaps; got 40x100"):
        patches(Numbered(1, 40, 100), text)[0]
