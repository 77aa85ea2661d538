"""A transposed convolution whose steps do not overlap, at the end of a graph: 1x1 convolution and depth to space."""

from __future__ import annotations

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import add_convolution, pointwise
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import is_map
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

ENDS = frozenset({"ArgMax", "Cast", "Sigmoid", "Softmax"})
"""What may stand behind it, other than the graph's end: kernels that put the values in their places as they read."""


def transposed_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write ConvTransposes of which each value meets one weight as 1x1 convolutions of s*s as many channels.

    Where kernel and strides are one number s, nothing is padded, in one group, and the result leaves the graph or goes
    into one of ENDS. The kernel that writes the output reads fewer bytes then, as no channels are padded at full size;
    inside a network the transposed convolution is the better one.
    """
    change = GraphChange(model)
    view = change.view
    for node in view.nodes:
        if node.op_type != "ConvTranspose" or not _steps_apart(view, node) or not _is_last(view, node):
            continue
        result = node.output[0]
        weight = view.constant(node.input[1]).astype(np.float64)
        channels, step = weight.shape[1], weight.shape[2]
        by_output = weight.reshape(weight.shape[0], -1).T
        bias = np.zeros(channels)
        if len(node.input) > 2 and node.input[2]:
            bias = view.constant(node.input[2]).astype(np.float64)
        deep = pointwise(by_output, np.repeat(bias, step * step))
        phases = add_convolution(change, node.input[0], result, deep, f"{result}_phases")
        change.define(result, "DepthToSpace", [phases], blocksize=step, mode="CRD")
    return change.result()


def _steps_apart(view: GraphView, node: onnx.NodeProto) -> bool:
    if not is_map(view, node.output[0]) or not all(view.is_constant(name) for name in node.input[1:] if name):
        return False
    kernel = list(view.shape(node.input[1])[2:])
    plain = (
        list(attribute(node, "strides", [1, 1])) == kernel
        and kernel[0] == kernel[1] > 1
        and set(attribute(node, "dilations", [1])) == {1}
        and attribute(node, "group", 1) == 1
    )
    unpadded = not any(attribute(node, "pads", [0])) and not any(attribute(node, "output_padding", [0]))
    as_is = attribute(node, "auto_pad", b"NOTSET") == b"NOTSET" and not attribute(node, "output_shape", [])
    return plain and unpadded and as_is


def _is_last(view: GraphView, node: onnx.NodeProto) -> bool:
    return all(reader.node.op_type in ENDS for reader in view.readers(node.output[0]))


TRANSPOSED_CONVOLUTIONS = GraphPass(
    "transposed-convolutions", transposed_convolutions, "padded channels at the size of the output", carries_over=False
)
