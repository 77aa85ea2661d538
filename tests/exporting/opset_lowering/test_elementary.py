from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from rtseg.exporting.opset_lowering.opset import with_canonical_opset
from tests.exporting.opset_lowering.opset_graphs import (
    Case,
    case,
    floats,
    model_of,
    ran,
    require_equal,
    require_same,
    told,
)

RANDOM = np.random.default_rng(12)
X = floats(RANDOM, 2, 3, 4)


def require_as_onnx_defines(made: Case, opset: int) -> None:
    """Compare with onnx's own evaluator: ONNX Runtime 1.31 loads no opset beyond 26."""
    model = model_of(made, opset)
    lowered, _ = with_canonical_opset(model, "mine.onnx")
    require_equal(ran(lowered, made.given), ReferenceEvaluator(model).run(None, made.given), 1e-5)


def test_what_is_said_of_small_floats_is_left_out_of_a_cast() -> None:
    for said, opset in (({"saturate": 1}, 19), ({"round_mode": "down"}, 24)):
        made = case("Cast", X, to=TensorProto.INT32, **said)
        lowered, _ = with_canonical_opset(model_of(made, opset), "mine.onnx")
        np.testing.assert_array_equal(ran(lowered, made.given)[0], X.astype(np.int32))


def test_a_cast_like_another_tensor_is_one_to_its_type() -> None:
    assert require_same(case("CastLike", X, np.ones(2, np.int64)), 19) == ["Cast"]


@pytest.mark.parametrize("divisor", [2.5, -2.5])
def test_the_remainder_of_floats_has_the_divisors_sign(divisor: float) -> None:
    require_as_onnx_defines(case("Mod", X, [np.float32(divisor)]), 28)
    require_as_onnx_defines(case("Mod", np.arange(-6, 6), [np.int64(4)]), 28)


def test_scattering_adds_and_multiplies_and_has_no_greatest() -> None:
    rows = [np.array([[1], [0], [1]])]
    for reduction in ("add", "mul"):
        require_same(case("ScatterND", X, rows, floats(RANDOM, 3, 3, 4), reduction=reduction), 18)
    for operator in ("ScatterND", "ScatterElements"):
        assert "got reduction 'max'" in told(case(operator, X, [np.zeros((1, 3, 4), np.int64)], X, reduction="max"), 18)


@pytest.mark.parametrize("axis", [1, -2, None])
def test_the_axis_of_a_transform_becomes_an_attribute(axis: int | None) -> None:
    array = floats(RANDOM, 1, 4, 6, 1)
    made = case("DFT", array) if axis is None else case("DFT", array, None, [np.int64(axis)])
    assert require_same(made, 20) == ["DFT"]


@pytest.mark.parametrize("alpha", [1.0, 1.7])
def test_gates_are_as_onnx_defines_them(alpha: float) -> None:
    require_as_onnx_defines(case("SwiGLU", X, floats(RANDOM, 2, 3, 4), alpha=alpha), 28)
    require_as_onnx_defines(case("Swish", X, alpha=alpha), 26)


def test_a_range_is_one_whatever_halves_would_be_summed_in() -> None:
    made = case("Range", np.float32(0), np.float32(3), [np.float32(1)], stash_type=1)
    model = model_of(made, 27)
    lowered, _ = with_canonical_opset(model, "mine.onnx")
    np.testing.assert_array_equal(ran(lowered, made.given)[0], [0, 1, 2])
