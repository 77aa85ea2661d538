"""FP16 around INT8: scales, int8 weights, and who decides the type of a Q or DQ."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from rtseg.errors import QuantizationError
from rtseg.quantization.fp16 import Fp16Graph, to_fp16
from rtseg.quantization.fp16_constants import MAX_SCALE_CHANGE, SMALLEST_NORMAL, half_scale, int8_values
from tests.quantization.fp16_graphs import (
    FLOAT,
    HALF,
    graph,
    node,
    operators,
    picture,
    ran,
    require_sound,
    types,
    weights,
)

INT8 = TensorProto.INT8
STEP = np.float32(0.0301)
ZERO = np.int8(0)


def quantized(
    weight: NDArray[np.float32] | None = None,
    *,
    step: Any = STEP,
    zero: Any = ZERO,
    opset: int = 19,
    stored: bool = False,
) -> onnx.ModelProto:
    """image -> Relu -> Q -> DQ -> Conv (weights by channel through Q and DQ, or int8 in the file) -> Relu."""
    weight = weights(4, 4, 3, 3) if weight is None else weight
    scale = (np.abs(weight).max((1, 2, 3)) / 127).astype(np.float32)
    constants: dict[str, Any] = {"b": weights(4), "s": step, "z": zero, "ws": scale, "wz": np.zeros(4, np.int8)}
    if stored:
        constants["wq"], source = int8_values(weight, scale, 0), []
    else:
        constants["w"], source = weight, [node("QuantizeLinear", ["w", "ws", "wz"], "wq", axis=0)]
    nodes = [
        node("Relu", ["image"], "a"),
        node("QuantizeLinear", ["a", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "d"),
        *source,
        node("DequantizeLinear", ["wq", "ws", "wz"], "wd", axis=0),
        node("Conv", ["d", "wd", "b"], "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], "output"),
    ]
    return graph(nodes, opset=opset, **constants)


def stored_weights(half: Fp16Graph) -> NDArray[np.int8]:
    found = {entry.name: entry for entry in half.model.graph.initializer}
    return np.array(numpy_helper.to_array(found["wq"]))


@pytest.mark.parametrize("stored", [False, True])
def test_scales_are_fp16_and_weights_the_same_int8_numbers(stored: bool) -> None:
    source = quantized(stored=stored)
    half = to_fp16(source)
    require_sound(half, source)
    expected = ["Cast", "Relu", "QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv", "Relu", "Cast"]
    assert operators(half.model) == expected
    kinds = types(half.model)
    assert kinds["/q"] == [HALF, HALF, INT8, INT8]
    assert kinds["/d"] == kinds["/wd"] == [INT8, HALF, INT8, HALF]
    assert kinds["/c"] == [HALF] * 4
    weight = weights(4, 4, 3, 3)
    exact = int8_values(weight, (np.abs(weight).max((1, 2, 3)) / 127).astype(np.float32), 0)
    assert np.abs(stored_weights(half).astype(int) - exact).max() <= (0 if stored else 1)
    assert np.mean(stored_weights(half) != exact) < 0.05
    assert half.precisions == {"/a": "fp16", "/c": "int8", "/output": "fp16"}
    assert 0 < half.scale_change < 2.0**-11


def test_what_it_computes_is_what_the_fp32_scales_computed() -> None:
    source = quantized()
    got, expected = ran(to_fp16(source).model, picture()), ran(source, picture())
    # A value between two steps may go either way; one step of one input through one weight is the most it changes.
    assert float(np.abs(got - expected).mean()) < 0.1 * float(STEP)
    assert float(np.abs(got - expected).max()) < 9 * float(STEP) * float(np.abs(weights(4, 4, 3, 3)).max())


def test_a_quantizer_of_a_float32_input_needs_no_cast() -> None:
    nodes = [
        node("QuantizeLinear", ["image", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "d"),
        node("Relu", ["d"], "output"),
    ]
    source = graph(nodes, opset=19, s=STEP, z=np.int8(0))
    half = to_fp16(source)
    require_sound(half, source)
    assert operators(half.model) == ["QuantizeLinear", "DequantizeLinear", "Relu", "Cast"]
    assert types(half.model)["/q"][:2] == [FLOAT, FLOAT]
    read = {
        entry.name: float(numpy_helper.to_array(entry)) for entry in half.model.graph.initializer if entry.name != "z"
    }
    assert set(read.values()) == {float(np.float16(STEP))}


def test_what_is_dequantized_for_fp32_alone_is_dequantized_in_fp32() -> None:
    source = quantized()
    half = to_fp16(source, keep=["/c"])
    require_sound(half, source)
    kinds = types(half.model)
    assert kinds["/q"][0] == HALF
    assert kinds["/d"] == kinds["/wd"] == [INT8, FLOAT, INT8, FLOAT]
    assert half.reasons == {"/c": "asked for"}


def test_values_that_dequantize_beyond_fp16_are_read_in_fp32() -> None:
    half = to_fp16(quantized(step=np.float32(1000)))
    assert half.reasons == {"/c": "values of up to 1.28e+05"}
    assert half.precisions["/output"] == "fp16"


def test_the_scale_of_a_channel_of_tiny_weights_is_rounded_up_and_the_weights_quantized_with_it() -> None:
    weight = weights(4, 4, 3, 3)
    weight[1] *= 1e-3
    weight[2] *= 1e-12
    source = quantized(weight)
    half = to_fp16(source)
    require_sound(half, source)
    scale = next(numpy_helper.to_array(entry) for entry in half.model.graph.initializer if entry.name == "ws")
    assert scale.dtype == np.float16
    assert (scale > 0).all()
    assert (scale[1:3] < SMALLEST_NORMAL).all()
    held = stored_weights(half) * scale.astype(np.float32).reshape(4, 1, 1, 1)
    assert (np.abs(held - weight) <= np.maximum(scale.reshape(4, 1, 1, 1), 6e-8) * 0.501).all()
    assert half.scale_change < 2.0**-11


@pytest.mark.parametrize("step", [1e-9, 2e-7, 1e6])
def test_a_scale_of_activations_that_fp16_does_not_hold_is_refused(step: float) -> None:
    with pytest.raises(QuantizationError, match=r"FP16 does not hold the scale s; got .* Try: leave the operators"):
        to_fp16(quantized(step=np.float32(step)))


def test_a_subnormal_scale_of_activations_that_hardly_changes_is_taken() -> None:
    held, change = half_scale(np.array(2.0e-5, np.float32), "s", of_weights=False)
    assert 0 < change < MAX_SCALE_CHANGE
    assert held == np.float32(np.float16(2.0e-5))


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_no_positive_number_is_refused(step: float) -> None:
    with pytest.raises(QuantizationError, match="the scale s is not a positive number"):
        to_fp16(quantized(step=np.float32(step)))


def test_opset_17_is_refused_as_its_quantizers_take_no_fp16() -> None:
    with pytest.raises(QuantizationError, match="needs a newer opset; got opset 17; expected 19"):
        to_fp16(quantized(opset=17))


def test_a_zero_point_is_refused() -> None:
    with pytest.raises(QuantizationError, match="/q is not the INT8 that TensorRT supports; got int8 with"):
        to_fp16(quantized(zero=np.int8(3)))


def test_uint8_is_refused() -> None:
    with pytest.raises(QuantizationError, match="/q is not the INT8 that TensorRT supports; got uint8"):
        to_fp16(quantized(zero=np.uint8(0)))
