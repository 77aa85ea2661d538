"""Decide which operators are worth quantizing, by the needs of INT8 kernels of tensor cores and VNNI."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from rtseg.graphs.view import GraphView, attribute, node_name

MIN_CHANNELS = 16
"""With fewer channels an INT8 kernel mostly multiplies padding: tensor cores read channels by 32, older ones by 16."""

CHANNEL_MULTIPLE = 8
"""Multiple of channels for a depthwise convolution, and for one side of a small convolution."""


ACTIVATIONS = frozenset({"Relu", "Clip", "PRelu", "LeakyRelu"})
"""Activations in rtseg's networks that an INT8 kernel applies to its output."""

MOVING = frozenset({"Concat", "MaxPool"})
"""Operators that only move values: quantized if their inputs are, and inputs and output share a scale."""

RESHAPING = frozenset({"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze"})
"""Operators that only reorder values, of any type."""

NO_RULE = {
    "ConvTranspose": "TensorRT's versions disagree on the axis of its scales",
    "Gemm": "a matrix product",
    "MatMul": "a matrix product",
}
"""Operators with weights that a placement does not quantize, unless it has its own rule for them."""


def without_rule(view: GraphView) -> dict[str, str]:
    """Return, by name, the operators with weights other than convolutions, and why they stay in floating point."""
    return {node_name(node): NO_RULE[node.op_type] for node in view.nodes if node.op_type in NO_RULE}


def why_never(view: GraphView, node: onnx.NodeProto) -> str:
    """Return why a Conv stays in floating point on every target, or "" if it need not."""
    if not all(view.is_constant(name) for name in node.input[1:] if name):
        return "its weight or bias is computed"
    if 1 in view.shape(node.output[0])[2:]:
        return "its map is a point or a strip: no work to save"
    return ""


def why_not(view: GraphView, node: onnx.NodeProto) -> str:
    """Return why a Conv should stay in floating point with most kernels, or "" if it need not."""
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
    """Return the output of an activation function that is the tensor's only reader, else the tensor."""
    readers = view.readers(tensor)
    if len(readers) == 1 and readers[0].node.op_type in activations:
        return str(readers[0].node.output[0])
    return tensor


def before_reshaping(view: GraphView, tensor: str) -> str:
    """Return the tensor that this one is a reordering of; itself if it is none."""
    producer = view.producer(tensor)
    while producer is not None and producer.op_type in RESHAPING:
        tensor = producer.input[0]
        producer = view.producer(tensor)
    return tensor


def leading_to_convolutions(view: GraphView) -> frozenset[str]:
    """Return the tensors that a convolution reads, directly or through operators between them."""
    leading: set[str] = set()
    for node in reversed(view.nodes):
        if node.op_type == "Conv" or leading.intersection(node.output):
            leading.update(node.input)
    return frozenset(leading)
