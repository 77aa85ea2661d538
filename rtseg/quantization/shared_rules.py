"""Which operators are worth quantising: what the INT8 kernels of tensor cores and of VNNI want."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from rtseg.graphs.view import GraphView, attribute, node_name

MIN_CHANNELS = 16
"""Below this an INT8 kernel mostly multiplies padding: tensor cores take channels by 32, older ones by 16."""

CHANNEL_MULTIPLE = 8
"""Of the channels of a depthwise convolution, and of one side of a small one."""


ACTIVATIONS = frozenset({"Relu", "Clip", "PRelu", "LeakyRelu"})
"""What an INT8 kernel does on its way out, of what our networks have."""

MOVING = frozenset({"Concat", "MaxPool"})
"""Operators that only move values: quantised when what they read is, and their inputs and output share a scale."""

RESHAPING = frozenset({"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze"})
"""What gives the values it reads in another order, whatever their type."""

NO_RULE = {
    "ConvTranspose": "TensorRT's versions disagree on the axis of its scales",
    "Gemm": "a matrix product",
    "MatMul": "a matrix product",
}
"""Operators with weights that a placement leaves alone, unless it has a rule of its own for them."""


def without_rule(view: GraphView) -> dict[str, str]:
    """Return the operators with weights that are no convolutions, by name, and why they stay in floating point."""
    return {node_name(node): NO_RULE[node.op_type] for node in view.nodes if node.op_type in NO_RULE}


def why_never(view: GraphView, node: onnx.NodeProto) -> str:
    """Return in words why a Conv stays in floating point whatever the target; empty where it need not."""
    if not all(view.is_constant(name) for name in node.input[1:] if name):
        return "its weight or bias is computed"
    if 1 in view.shape(node.output[0])[2:]:
        return "its map is a point or a strip: no work to save"
    return ""


def why_not(view: GraphView, node: onnx.NodeProto) -> str:
    """Return in words why a Conv had better stay in floating point on most kernels; empty where it had not."""
    reason = why_never(view, node)
    if reason:
        return reason
    outputs, inputs, *kernel = view.shape(node.input[1])
    group = int(attribute(node, "group", 1))
    if group > 1:
        depthwise = inputs == 1 and outputs == group
        if not depthwise:
            return "grouped: INT8 kernels are slower than FP16 there"
        if group % CHANNEL_MULTIPLE or min(kernel) < 3:
            return f"depthwise of {group} channels, kernel {'x'.join(map(str, kernel))}: no INT8 kernel"
        return ""
    if min(inputs, outputs) >= MIN_CHANNELS:
        return ""
    aligned = inputs % CHANNEL_MULTIPLE == 0 or outputs % CHANNEL_MULTIPLE == 0
    if aligned and len(set(kernel)) == 1 and max(inputs, outputs) >= MIN_CHANNELS:
        return ""
    return f"few channels ({inputs} to {outputs})"


def behind_activation(view: GraphView, tensor: str, activations: Collection[str]) -> str:
    """Return what an activation function makes of the tensor where it is all that reads it, else the tensor."""
    readers = view.readers(tensor)
    if len(readers) == 1 and readers[0].node.op_type in activations:
        return str(readers[0].node.output[0])
    return tensor


def before_reshaping(view: GraphView, tensor: str) -> str:
    """Return the tensor whose values, put in another order, this one has; itself where nothing does that."""
    producer = view.producer(tensor)
    while producer is not None and producer.op_type in RESHAPING:
        tensor = producer.input[0]
        producer = view.producer(tensor)
    return tensor


def leading_to_convolutions(view: GraphView) -> frozenset[str]:
    """Return the tensors that a convolution reads, or something between them and a convolution."""
    leading: set[str] = set()
    for node in reversed(view.nodes):
        if node.op_type == "Conv" or leading.intersection(node.output):
            leading.update(node.input)
    return frozenset(leading)
