from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from tests.exporting.opset_lowering.opset_graphs import case, floats, require_same, told

RANDOM = np.random.default_rng(10)
X = floats(RANDOM, 1, 3, 4, 5)
SCALE = [np.float32(0.1)]
SCALES = [np.array([0.1, 0.2, 0.3], np.float32)]


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.UINT8])
@pytest.mark.parametrize("scale", [SCALE, SCALES])
def test_the_type_of_quantised_values_is_that_of_a_zero_point(kind: int, scale: list[np.ndarray]) -> None:
    axis = {} if scale is SCALE else {"axis": 1}
    assert require_same(case("QuantizeLinear", X, scale, output_dtype=kind, **axis), 21) == ["QuantizeLinear"]


def test_bytes_are_bytes_where_nothing_is_said() -> None:
    require_same(case("QuantizeLinear", X, SCALE), 21)
    require_same(case("QuantizeLinear", X, SCALE, [np.int8(-3)], saturate=0), 19)


@pytest.mark.parametrize(
    ("made", "opset", "why"),
    [
        (case("QuantizeLinear", X, SCALE, output_dtype=TensorProto.INT16), 21, "quantized values of INT16"),
        (case("QuantizeLinear", X, SCALE, [np.uint16(3)]), 21, "x2 as tensor(uint16)"),
        (case("QuantizeLinear", X, SCALE, precision=TensorProto.FLOAT16), 23, "precision FLOAT16"),
        (case("QuantizeLinear", X, [np.ones((1, 3, 4, 1), np.float32)], block_size=5, axis=3), 21, "(block_size)"),
        (case("DequantizeLinear", np.ones((3, 4), np.uint16), SCALE), 21, "x0 as tensor(uint16)"),
        (case("DequantizeLinear", np.ones((3, 4), np.int8), [np.float16(0.1)]), 19, "x1 as tensor(float16)"),
        (case("DequantizeLinear", np.ones((3, 4), np.int8), SCALE, output_dtype=10), 23, "output_dtype FLOAT16"),
    ],
)
def test_what_is_not_int8_with_float32_scales_of_whole_axes_is_refused(made, opset: int, why: str) -> None:  # type: ignore[no-untyped-def]
    assert f"{why}. Try: " in told(made, opset)


def test_a_type_that_is_said_though_it_is_the_scales_is_left_out() -> None:
    made = case("DequantizeLinear", np.arange(12, dtype=np.int8).reshape(3, 4), SCALE, output_dtype=TensorProto.FLOAT)
    require_same(made, 23)
