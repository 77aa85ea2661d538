from __future__ import annotations

import numpy as np
import pytest

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same, told

RANDOM = np.random.default_rng(13)
LARGE = np.array([-1e4, -88, -20, -3, -1e-6, 0, 1e-6, 3, 20, 88, 1e4], np.float32)


@pytest.mark.parametrize("kind", ["none", "tanh", None])
def test_gelu_is_by_erf_or_by_tanh(kind: str | None) -> None:
    operators = require_same(case("Gelu", LARGE, **({"approximate": kind} if kind else {})), 20)
    assert ("Tanh" in operators, "Erf" in operators) == (kind == "tanh", kind != "tanh")


def test_an_unknown_approximation_is_refused() -> None:
    assert "got approximate 'sigmoid'" in told(case("Gelu", LARGE, approximate="sigmoid"), 20)


def test_mish_of_large_values_stays_finite() -> None:
    assert require_same(case("Mish", LARGE), 18) == ["Softplus", "Tanh", "Mul"]


def test_constants_are_of_the_type_of_what_they_meet() -> None:
    require_same(case("Gelu", np.array([-1, 0.5, 2], np.float16)), 20, 2e-3)


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [None, 1, 2, 3, -1, -3])
def test_before_opset_13_a_softmax_went_over_all_axes_from_one_on(operator: str, axis: int | None) -> None:
    made = case(operator, floats(RANDOM, 2, 3, 4, 5), **({} if axis is None else {"axis": axis}))
    for opset in (11, 12):
        operators = require_same(made, opset)
        assert (operators == [operator]) == (axis in (3, -1))


def test_axes_of_one_value_need_no_reshaping() -> None:
    assert require_same(case("Softmax", floats(RANDOM, 1, 5, 1, 1), axis=1), 11) == ["Softmax"]
