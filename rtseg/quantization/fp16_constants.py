"""Convert the constants of a graph to FP16: weights, batch normalisation, Q/DQ scales."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from rtseg.errors import QuantizationError
from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute, node_name

Floats = NDArray[Any]
SMALLEST_NORMAL = float(np.finfo(np.float16).tiny)

MAX_SCALE_CHANGE = 1 / 254
"""Relative; it equals half an INT8 step at the end of its range."""


class Rounded(NamedTuple):
    """Values in FP16, and the number of them that lost bits (subnormal) or became zero."""

    values: NDArray[np.float16]
    subnormal: int
    zero: int


def to_float16(values: Floats) -> Rounded:
    """Return the values rounded to the nearest FP16. A value beyond FP16 becomes infinite: call overflows first."""
    with np.errstate(over="ignore", under="ignore"):
        half = values.astype(np.float16)
    tiny = (np.abs(half) < SMALLEST_NORMAL) & (values != 0)
    zero = tiny & (half == 0)
    return Rounded(half, int(tiny.sum() - zero.sum()), int(zero.sum()))


def overflows(values: Floats) -> bool:
    """Return whether a finite value is infinite in FP16."""
    return bool((np.isfinite(values) & np.isinf(to_float16(values).values)).any())


def with_unit_variance(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every BatchNormalization has mean 0 and variance 1; scale and bias hold the rest.

    It computes the same. Variances range from 1e-10 to 1e6, beyond FP16, and parsers that fold the four parameters into
    two do so in the parameters' own type.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    view, taken = GraphView(model), names_in(model)
    for node in copy.graph.node:
        if node.op_type != "BatchNormalization" or not all(view.is_constant(name) for name in node.input[1:]):
            continue
        scale, bias, mean, variance = (view.constant(name).astype(np.float64) for name in node.input[1:])
        epsilon = attribute(node, "epsilon", 1e-5)
        factor = scale * np.sqrt((1 + epsilon) / (variance + epsilon))
        offset = bias - mean * scale / np.sqrt(variance + epsilon)
        parts = {"scale": factor, "bias": offset, "mean": np.zeros_like(mean), "variance": np.ones_like(variance)}
        for position, (part, values) in enumerate(parts.items(), start=1):
            node.input[position] = fresh_name(f"{node_name(node)}_{part}", taken)
            copy.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.input[position]))
    return copy


def half_scale(scale: Floats, name: str, *, of_weights: bool) -> tuple[Floats, float]:
    """Return an INT8 scale as float32 values that FP16 holds exactly, and the largest relative change.

    Below FP16's normal numbers the scale of weights is rounded up, which clips nothing and leaves a step no coarser
    than FP16's own there: weights are quantized with the returned scale. The scale of activations may change by at most
    MAX_SCALE_CHANGE, because nothing compensates it. Raises QuantizationError.
    """
    scale = scale.astype(np.float32)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise QuantizationError(f"the scale {name} is not a positive number", got=scale[~(scale > 0)][:1])
    half = to_float16(scale).values
    if of_weights:
        short = (half < SMALLEST_NORMAL) & (half.astype(np.float32) < scale)
        half = np.where(short, np.nextafter(half, np.float16(np.inf)), half)
    held = half.astype(np.float32)
    change = np.abs(held.astype(np.float64) / scale - 1)
    if not np.isfinite(held).all() or (not of_weights and change.max() > MAX_SCALE_CHANGE):
        raise QuantizationError(
            f"FP16 does not hold the scale {name}",
            got=f"{scale.flat[change.argmax()]:.3g}, which becomes {held.flat[change.argmax()]:.3g}",
            expected=f"a change of at most {MAX_SCALE_CHANGE:.2%}",
            hint="leave the operators that read it out of INT8: rtseg quantize --to int8 --exclude PATTERN",
        )
    normal = half >= SMALLEST_NORMAL
    return held, float(change[normal].max(initial=0.0)) if of_weights else float(change.max())


def int8_values(values: Floats, scale: Floats, axis: int) -> NDArray[np.int8]:
    """Return values quantized as by QuantizeLinear with zero point 0; a scale with several values is along axis."""
    steps = steps_along(scale, values.ndim, axis)
    return np.clip(np.rint(values.astype(np.float32) / steps), -128, 127).astype(np.int8)


def steps_along(scale: Floats, dimensions: int, axis: int) -> Floats:
    """Return a scale in the shape that broadcasts over a tensor of that many dimensions."""
    if scale.size == 1:
        return scale.reshape(())
    return scale.reshape([-1 if side == axis % dimensions else 1 for side in range(dimensions)])


def require_symmetric_int8(view: GraphView, node: onnx.NodeProto) -> None:
    """Raise QuantizationError unless a QuantizeLinear or DequantizeLinear is int8 with constant scale, zero point 0."""
    kind = view.element_type(node.input[2] if len(node.input) > 2 else node.input[0])
    symmetric = len(node.input) < 3 or (view.is_constant(node.input[2]) and not view.constant(node.input[2]).any())
    if kind != TensorProto.INT8 or not symmetric or not view.is_constant(node.input[1]):
        raise QuantizationError(
            f"{node_name(node)} is not the INT8 that TensorRT supports",
            got=f"{onnx.TensorProto.DataType.Name(kind).lower()}{'' if symmetric else ' with a zero point'}",
            expected="int8 with zero point 0 and a constant scale",
            hint="run rtseg quantize --target tensorrt",
        )
