"""Count the operators of a graph by precision, as the graph itself shows it, not as it was requested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx

from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView, Reader, node_name
from rtseg.quantization.shared_rules import ACTIVATIONS, RESHAPING, before_reshaping, behind_activation
from rtseg.specs import PRECISIONS

NOT_COUNTED = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast", "Constant"})
"""Operators that only convert between precisions."""

WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})


@dataclass(frozen=True)
class Census:
    """Operators and multiply-accumulates by precision, and the names of the operators that are INT8.

    An operator with a weight is INT8 if both its input and its weight are dequantized. Any other is INT8 if all its
    inputs are dequantized, or come from the INT8 convolution that a residual's Add is fused with, and if its output is
    quantized again. An activation function directly after an INT8 operator is also INT8, and so is an operator that
    only reorders dequantized values. left gives the reason for each operator with weights that is not INT8; floating
    counts the others that are not, by type.
    """

    operators: Mapping[str, int]
    macs: Mapping[str, int]
    int8: frozenset[str]
    left: Mapping[str, str] = field(default_factory=dict)
    floating: Mapping[str, int] = field(default_factory=dict)

    @property
    def int8_share(self) -> float:
        """The fraction of the multiply-accumulates in INT8, from 0 to 1."""
        return self.macs["int8"] / (sum(self.macs.values()) or 1)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "operators": dict(self.operators),
            "macs": dict(self.macs),
            "left": dict(self.left),
            "floating": dict(self.floating),
        }


def census_of(model: onnx.ModelProto, left: Mapping[str, str] | None = None) -> Census:
    """Return the number of operators and multiply-accumulates of the graph in each precision."""
    view = GraphView(model)
    macs = macs_by_node(view)
    operators: Counter[str] = Counter({precision: 0 for precision in PRECISIONS})
    work: Counter[str] = Counter({precision: 0 for precision in PRECISIONS})
    floating: Counter[str] = Counter()
    int8: set[str] = set()
    for node in view.nodes:
        if node.op_type in NOT_COUNTED:
            continue
        precision = _precision(view, node, int8)
        if precision == "int8":
            int8.add(node_name(node))
        elif node.op_type not in WEIGHTED:
            floating[node.op_type] += 1
        operators[precision] += 1
        work[precision] += macs.get(node_name(node), 0)
    return Census(dict(operators), dict(work), frozenset(int8), dict(left or {}), dict(floating))


def precision_of_node(view: GraphView, node: onnx.NodeProto) -> str:
    """Return int8, fp16 or fp32 for one convolution or matrix product."""
    return _precision(view, node, set())


def _precision(view: GraphView, node: onnx.NodeProto, int8: set[str]) -> str:
    if _is_int8(view, node, int8):
        return "int8"
    return "fp16" if view.element_type(node.output[0]) == onnx.TensorProto.FLOAT16 else "fp32"


def _is_int8(view: GraphView, node: onnx.NodeProto, int8: set[str]) -> bool:
    dequantized = [_is_dequantized(view, tensor) for tensor in node.input if tensor]
    if node.op_type in WEIGHTED:
        return len(dequantized) > 1 and dequantized[0] and dequantized[1]
    sources = [tensor for tensor in node.input if tensor and not view.is_constant(tensor)]
    from_int8 = [producer is not None and node_name(producer) in int8 for producer in map(view.producer, sources)]
    if node.op_type in ACTIVATIONS and from_int8 == [True]:
        return True
    if node.op_type in RESHAPING and dequantized[0]:
        return True
    return (
        any(dequantized)
        and all(before or _is_dequantized(view, tensor) for before, tensor in zip(from_int8, sources))
        and any(reader.node.op_type == "QuantizeLinear" for reader in _readers_behind_activation(view, node.output[0]))
    )


def _is_dequantized(view: GraphView, tensor: str) -> bool:
    producer = view.producer(before_reshaping(view, tensor))
    return producer is not None and producer.op_type == "DequantizeLinear"


def _readers_behind_activation(view: GraphView, tensor: str) -> list[Reader]:
    return view.readers(behind_activation(view, tensor, ACTIVATIONS))
