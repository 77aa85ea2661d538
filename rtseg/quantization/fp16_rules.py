"""Decide which operators of a graph must not compute in FP16, and why."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import TensorProto

from rtseg.errors import QuantizationError
from rtseg.graphs.view import GraphView, attribute, node_name
from rtseg.quantization.fp16_constants import overflows

MAX_MAGNITUDE = 2.0**15
"""Largest accepted value in a table of ranges: half of FP16's maximum, 65504, because other pictures may reach further.
"""

MAX_SUMMED = 2048
"""The longest sum in FP16: 2048 + 1 is 2048 there. Backends differ in the type of a mean's accumulator: ONNX Runtime on
CUDA gives NaN for a mean over 512x512 values in FP16 (onnxconverter-common issue 323), so the file must state the type.
"""

QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_ARITHMETIC = frozenset({"Mul", "Sub", "Add", "Div"})
_MOVEMENT = frozenset({"Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity"})
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"})
_COORDINATES = {"Resize": (1, 2)}
"""Inputs that hold positions, not values: the regions and scales of a Resize."""


def takes_half(node: onnx.NodeProto, position: int, opset: int, *, output: bool = False) -> bool:
    """Return whether ONNX at that opset allows float16 for one input, or output, of the node."""
    if node.domain not in ("", "ai.onnx") or (not output and position in _COORDINATES.get(node.op_type, ())):
        return False
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return False
    formal = schema.outputs if output else schema.inputs
    kind = formal[min(position, len(formal) - 1)].type_str
    constraints = {entry.type_param_str: entry.allowed_type_strs for entry in schema.type_constraints}
    return "tensor(float16)" in constraints.get(kind, [kind])


def float_tensors(view: GraphView, names: Collection[str]) -> list[int]:
    """Return the positions of the float32 tensors among an operator's inputs or outputs."""
    return [index for index, name in enumerate(names) if name and view.element_type(name) == TensorProto.FLOAT]


def float32_reasons(view: GraphView, opset: int, keep: Collection[str], ranges: Mapping[str, float]) -> dict[str, str]:
    """Return, by node name, the reason for each operator that must stay FP32.

    Operators without a float32 tensor are not included. keep names nodes; ranges maps tensors to their greatest
    magnitude. Quantizers and Casts are included only if keep names them: they follow their neighbours. Raises
    QuantizationError for a name in keep that no node has.
    """
    _require_nodes(view, keep)
    normalisation = _normalisation(view)
    magnitudes = {**_dequantized(view), **ranges}
    reasons: dict[str, str] = {}
    for node in view.nodes:
        name = node_name(node)
        if not float_tensors(view, [*node.input, *node.output]):
            continue
        if name in keep:
            reasons[name] = "asked for"
        elif node.op_type in QUANTIZERS or node.op_type == "Cast":
            continue
        elif not _has_half(view, node, opset):
            reasons[name] = f"no float16 in opset {opset}"
        elif large := _too_large(view, node, opset, magnitudes):
            reasons[name] = large
        elif _summed(view, node) > MAX_SUMMED:
            reasons[name] = "sums over many values"
        elif name in normalisation:
            reasons[name] = "normalises the picture"
        elif _enlarges_the_output(view, node):
            reasons[name] = "enlarges the float32 output"
    return reasons


def _require_nodes(view: GraphView, keep: Collection[str]) -> None:
    names = {node_name(node) for node in view.nodes}
    for name in keep:
        if name not in names:
            closest = difflib.get_close_matches(name, names, n=3)
            raise QuantizationError(
                "no node of the graph has that name",
                got=repr(name),
                hint=f"use {', '.join(closest)}" if closest else "",
            )


def _has_half(view: GraphView, node: onnx.NodeProto, opset: int) -> bool:
    outputs = float_tensors(view, node.output)
    if not all(takes_half(node, position, opset, output=True) for position in outputs):
        return False
    return bool(outputs) or any(takes_half(node, p, opset) for p in float_tensors(view, node.input))


def _dequantized(view: GraphView) -> dict[str, float]:
    """Return the greatest possible output of each DequantizeLinear: 128 of its largest steps."""
    return {
        node.output[0]: 128 * float(view.constant(node.input[1]).max())
        for node in view.nodes
        if node.op_type == "DequantizeLinear" and view.is_constant(node.input[1])
    }


def _too_large(view: GraphView, node: onnx.NodeProto, opset: int, magnitudes: Mapping[str, float]) -> str:
    for position in float_tensors(view, node.input):
        name = node.input[position]
        if view.is_constant(name) and takes_half(node, position, opset) and overflows(view.constant(name)):
            return "a constant beyond FP16"
    for name in [*node.input, *node.output]:
        magnitude = magnitudes.get(name, 0.0)
        if not magnitude <= MAX_MAGNITUDE:  # true for NaN
            return f"values of up to {magnitude:.3g}"
    return ""


def _summed(view: GraphView, node: onnx.NodeProto) -> int:
    """Return the number of values in one result of a sum or mean."""
    if node.op_type in _REDUCTIONS or node.op_type == "GlobalAveragePool":
        return math.prod(view.shape(node.input[0])) // max(math.prod(view.shape(node.output[0])), 1)
    if node.op_type == "AveragePool":
        return int(math.prod(attribute(node, "kernel_shape", [])))
    if node.op_type in ("Softmax", "LogSoftmax"):
        return int(view.shape(node.input[0])[attribute(node, "axis", -1)])
    if node.op_type == "InstanceNormalization":
        return math.prod(view.shape(node.input[0])[2:])
    return 1


def _normalisation(view: GraphView) -> set[str]:
    """Return the operators from a uint8 input to the last one that only combines it with constants.

    In FP16 (x - mean) / std is wrong by a sixth of a grey level, three times the error of rounding its result, because
    x and mean are larger than their difference.
    """
    if view.element_type(view.input) == TensorProto.FLOAT:
        return set()
    pixels, chain = {view.input}, []
    for node in view.nodes:
        computed = [name for name in node.input if name and not view.is_constant(name)]
        if node.op_type in _ARITHMETIC | _MOVEMENT and computed and pixels.issuperset(computed):
            pixels.update(node.output)
            chain.append(node)
    wanted: set[str] = set()
    read: set[str] = set()
    for node in reversed(chain):
        if node.op_type in _ARITHMETIC or read.intersection(node.output):
            wanted.add(node_name(node))
            read.update(node.input)
    return wanted


def _enlarges_the_output(view: GraphView, node: onnx.NodeProto) -> bool:
    """Return whether a Resize computes the graph's float32 output: a Cast before it is cheaper than one after it."""
    if node.op_type != "Resize" or node.output[0] != view.output:
        return False
    return bool(np.prod(view.shape(node.output[0])) > np.prod(view.shape(node.input[0])))
