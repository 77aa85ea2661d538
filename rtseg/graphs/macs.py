"""The work of a graph: multiply-accumulates of its convolutions and matrix products, node by node."""

from __future__ import annotations

import math

import onnx

from rtseg.graphs.view import GraphView, attribute, node_name


def macs_by_node(view: GraphView) -> dict[str, int]:
    """Return the multiply-accumulates of each Conv, ConvTranspose, MatMul and Gemm, by node name.

    Biases and all other operators are not counted: the rule behind the papers' GFLOPs.
    """
    return {node_name(node): _macs(view, node) for node in view.nodes if node.op_type in _RULES}


def _macs(view: GraphView, node: onnx.NodeProto) -> int:
    return _RULES[node.op_type](view, node)


def _convolution(view: GraphView, node: onnx.NodeProto) -> int:
    """Each output value reads a kernel's worth of inputs: weight (out, in / groups, ...)."""
    return math.prod(view.shape(node.output[0])) * math.prod(view.shape(node.input[1])[1:])


def _transposed_convolution(view: GraphView, node: onnx.NodeProto) -> int:
    """Each input value adds to a kernel's worth of outputs: weight (in, out / groups, ...)."""
    return math.prod(view.shape(node.input[0])) * math.prod(view.shape(node.input[1])[1:])


def _matrix_product(view: GraphView, node: onnx.NodeProto) -> int:
    return math.prod(view.shape(node.output[0])) * view.shape(node.input[0])[-1]


def _general_matrix_product(view: GraphView, node: onnx.NodeProto) -> int:
    inner = view.shape(node.input[0])[0 if attribute(node, "transA", 0) else 1]
    return math.prod(view.shape(node.output[0])) * inner


_RULES = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "MatMul": _matrix_product,
    "Gemm": _general_matrix_product,
}
