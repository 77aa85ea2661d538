from __future__ import annotations

import numpy as np
import pytest

from rtseg.exporting.opset_lowering.opset import with_canonical_opset
from tests.exporting.opset_lowering.opset_graphs import case, floats, model_of, ran, require_same, told

RANDOM = np.random.default_rng(3)


def test_the_last_part_of_an_uneven_split_is_smaller() -> None:
    made = case("Split", floats(RANDOM, 1, 10, 3), outputs=4, axis=1, num_outputs=4)
    lowered, _ = with_canonical_opset(model_of(made, 18), "mine.onnx")
    assert [array.shape[1] for array in ran(lowered, made.given)] == [3, 3, 3, 1]
    assert require_same(made, 18) == ["Split"]


def test_a_split_whose_sizes_stand_there_keeps_them() -> None:
    made = case("Split", floats(RANDOM, 1, 10), [np.array([7, 3])], outputs=2, axis=1)
    assert require_same(made, 18) == ["Split"]


def test_parts_that_there_are_not_enough_values_for_are_refused() -> None:
    made = case("Split", floats(RANDOM, 1, 5), outputs=4, axis=1, num_outputs=4)
    assert "got 4 parts of 5." in told(made, 18)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pads_of_some_axes_are_pads_of_all(mode: str) -> None:
    made = case("Pad", floats(RANDOM, 2, 3, 5, 4), [np.array([2, 1, 1, 3])], None, [np.array([-2, 3])], mode=mode)
    require_same(made, 19)


def test_a_pad_that_goes_around_may_be_longer_than_what_it_repeats() -> None:
    assert require_same(case("Pad", floats(RANDOM, 3, 2), [np.array([7, 0, 4, 5])], mode="wrap"), 19) == [
        "Gather",
        "Gather",
        "Identity",
    ]


def test_a_pad_without_axes_may_have_pads_that_are_computed() -> None:
    made = case("Pad", floats(RANDOM, 3, 2), np.array([1, 0, 0, 2]))
    assert require_same(made, 21) == ["Pad"]


@pytest.mark.parametrize("size", [[3, 9], [9, 3], [4, 4], [6, 7], [1, 12]])
def test_a_crop_around_the_centre_takes_odd_differences_as_onnx_does(size: list[int]) -> None:
    require_same(case("CenterCropPad", floats(RANDOM, 6, 7), [np.array(size)]), 18)


def test_a_crop_to_the_size_that_is_there_moves_nothing() -> None:
    assert require_same(case("CenterCropPad", floats(RANDOM, 6, 7), [np.array([6, 7])]), 18) == ["Identity"]


def test_columns_become_a_map_by_one_transposed_convolution() -> None:
    made = case("Col2Im", floats(RANDOM, 2, 27, 30), [np.array([5, 6])], [np.array([3, 3])], pads=[1, 1, 1, 1])
    assert require_same(made, 18) == ["Reshape", "ConvTranspose"]


def test_columns_of_another_number_than_the_map_has_are_refused() -> None:
    made = case("Col2Im", floats(RANDOM, 1, 27, 30), [np.array([5, 6])], [np.array([3, 3])])
    assert "got 27x30 columns for blocks" in told(made, 18)


def test_sizes_of_parts_that_were_an_attribute_become_an_input() -> None:
    made = case("Split", floats(RANDOM, 1, 10), outputs=2, axis=1, split=[4, 6])
    assert require_same(made, 11) == ["Split"]
