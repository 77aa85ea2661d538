from __future__ import annotations

import numpy as np
import pytest

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same

RANDOM = np.random.default_rng(9)
X = np.abs(floats(RANDOM, 2, 3, 4)) + np.float32(0.1)
NAMES = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noop", [0, 1])
@pytest.mark.parametrize("axes", [None, [[]], [[1, -1]]])
def test_axes_that_are_an_input_or_none_become_an_attribute_or_none(
    name: str, noop: int, axes: list[list[int]] | None
) -> None:
    given = [] if axes is None else [[np.array(axes[0], np.int64)]]
    made = case(f"Reduce{name}", X - np.float32(1) * (name in ("L1", "L2")), *given, noop_with_empty_axes=noop)
    require_same(made, 18)


@pytest.mark.parametrize(("name", "keep"), [("Max", 0), ("Min", 1)])
def test_the_greatest_of_booleans_is_that_of_numbers(name: str, keep: int) -> None:
    made = case(f"Reduce{name}", X > 0.5, [np.array([1])], keepdims=keep)
    assert require_same(made, 20) == ["Cast", f"Reduce{name}", "Cast"]


@pytest.mark.parametrize("operator", ["ReduceSum", "Squeeze", "Unsqueeze"])
def test_axes_that_were_an_attribute_become_an_input(operator: str) -> None:
    made = case(operator, floats(RANDOM, 2, 1, 3), axes=[1])
    assert require_same(made, 12) == [operator]


def test_a_sum_over_all_axes_stays_one() -> None:
    assert require_same(case("ReduceSum", X, keepdims=0), 11) == ["ReduceSum"]
    assert require_same(case("Squeeze", floats(RANDOM, 2, 1, 3)), 11) == ["Squeeze"]
