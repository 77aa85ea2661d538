from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same, told

RANDOM = np.random.default_rng(8)
X = floats(RANDOM, 1, 3, 7, 10)


@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("up", [0, 1])
@pytest.mark.parametrize("dilations", [[1, 1], [2, 1], [2, 3]])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 1]])
def test_an_average_is_of_the_same_values(counts: int, up: int, dilations: list[int], pads: list[int]) -> None:
    windows = {"kernel_shape": [3, 2], "strides": [2, 3], "dilations": dilations, "pads": pads}
    require_same(case("AveragePool", X, ceil_mode=up, count_include_pad=counts, **windows), 19)


@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool"])
def test_a_window_that_would_begin_in_the_last_pads_is_left_out(operator: str) -> None:
    made = case(operator, X, kernel_shape=[1, 1], strides=[2, 4], pads=[0, 0, 0, 0], ceil_mode=1)
    assert require_same(made, 22) == [operator]


def test_windows_that_end_far_beyond_the_map_get_pads_of_their_own() -> None:
    windows: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [3, 3], "dilations": [2, 2], "pads": [0, 1, 1, 1]}
    made = case("MaxPool", floats(RANDOM, 1, 3, 8, 10), ceil_mode=1, **windows)
    assert require_same(made, 22) == ["Pad", "MaxPool"]
    both = case("MaxPool", floats(RANDOM, 1, 3, 8, 10), outputs=2, ceil_mode=1, **windows)
    assert "got indices of windows that end further beyond the pads" in told(both, 22)


def test_indices_of_the_greatest_stay_those_of_the_map() -> None:
    made = case("MaxPool", X, outputs=2, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 1], ceil_mode=1)
    assert require_same(made, 22) == ["MaxPool"]


@pytest.mark.parametrize("rule", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("operator", ["AveragePool", "MaxPool", "LpPool"])
def test_pads_that_a_rule_stands_for_are_the_same(operator: str, rule: str) -> None:
    require_same(case(operator, X, kernel_shape=[3, 4], strides=[2, 3], auto_pad=rule), 22)


def test_what_onnx_and_onnx_runtime_read_in_two_ways_is_refused() -> None:
    made = case("AveragePool", X, kernel_shape=[3, 3], dilations=[2, 2], auto_pad="SAME_UPPER")
    assert "got dilations with auto_pad SAME_UPPER" in told(made, 19)


def test_a_dilated_norm_is_refused() -> None:
    assert "got dilations" in told(case("LpPool", X, kernel_shape=[3, 3], dilations=[2, 2]), 18)
