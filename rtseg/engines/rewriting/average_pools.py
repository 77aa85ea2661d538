"""An average pool in front of a Concat as a depthwise convolution, which writes into its place in it."""

from __future__ import annotations

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import Convolution, define_convolution
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import is_map
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute


def average_pools_as_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write AveragePools that a Concat reads as depthwise convolutions with equal weights.

    Where every average divides by the same number: no value is padded, or padding counts, and none reaches past it.
    """
    change = GraphChange(model)
    for node in change.view.nodes:
        convolution = _equal_weights(change.view, node)
        if convolution is not None:
            define_convolution(change, node.output[0], node.input[0], convolution)
    return change.result()


def _equal_weights(view: GraphView, node: onnx.NodeProto) -> Convolution | None:
    if node.op_type != "AveragePool" or not is_map(view, node.output[0]) or not is_map(view, node.input[0]):
        return None
    if not any(reader.node.op_type == "Concat" for reader in view.readers(node.output[0])):
        return None
    pads = tuple(attribute(node, "pads", [0, 0, 0, 0]))
    counts_padding = attribute(node, "count_include_pad", 0) == 1
    if (any(pads) and not counts_padding) or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return None
    if attribute(node, "ceil_mode", 0):
        return None
    height, width = attribute(node, "kernel_shape", [])
    channels = view.shape(node.input[0])[1]
    weight = np.full((channels, 1, height, width), 1 / (height * width))
    strides = tuple(attribute(node, "strides", [1, 1]))
    return Convolution(weight, np.zeros(channels), strides, pads, (1, 1), channels)


AVERAGE_POOLS_AS_CONVOLUTIONS = GraphPass(
    "average-pools", average_pools_as_convolutions, "a copy of what is averaged into the Concat", carries_over=False
)
