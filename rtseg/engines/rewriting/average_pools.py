"""Replace an average pool in front of a Concat by a depthwise convolution, which writes directly into the Concat.

The weights are a power of two, and a division in the convolution's epilogue does the rest. FP16 represents 1/8 and
1.125 exactly, but 1/9, or 1.125 times 1/1.125, only to 0.03 % and always on one side, which made AFFNet's error 1.3
times as large.
"""

from __future__ import annotations

import math

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import Convolution, add_convolution, define_convolution
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import is_map, window_fits
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute


def average_pools_as_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write AveragePools that a Concat reads as depthwise convolutions with equal weights, and a division.

    Only if every average divides by the same number: there is no padding, or padding counts and no window reaches past
    it.
    """
    change = GraphChange(model)
    for node in change.view.nodes:
        convolution = _equal_weights(change.view, node)
        if convolution is not None:
            _define_average(change, node, convolution)
    return change.result()


def _define_average(change: GraphChange, node: onnx.NodeProto, sums: Convolution) -> None:
    """Let the result of an AveragePool be the sums over its windows, as the convolution weighs them, divided."""
    result = node.output[0]
    divisor = math.prod(sums.weight.shape[2:]) * sums.weight.flat[0]
    if divisor == 1:
        define_convolution(change, result, node.input[0], sums)
        return
    summed = add_convolution(change, node.input[0], result, sums, f"{result}_sums")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(change.view.element_type(result))
    change.define(result, "Div", [summed, change.constant(f"{result}_divisor", np.array(divisor, dtype))])


def _equal_weights(view: GraphView, node: onnx.NodeProto) -> Convolution | None:
    if node.op_type != "AveragePool" or not is_map(view, node.output[0]) or not is_map(view, node.input[0]):
        return None
    if not any(reader.node.op_type == "Concat" for reader in view.readers(node.output[0])):
        return None
    pads = tuple(attribute(node, "pads", [0, 0, 0, 0]))
    counts_padding = attribute(node, "count_include_pad", 0) == 1
    if (any(pads) and not counts_padding) or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return None
    if attribute(node, "ceil_mode", 0) or not window_fits(view, node):
        return None
    height, width = attribute(node, "kernel_shape", [])
    channels = view.shape(node.input[0])[1]
    weight = np.full((channels, 1, height, width), 2.0 ** -math.floor(math.log2(height * width)))
    strides = tuple(attribute(node, "strides", [1, 1]))
    return Convolution(weight, np.zeros(channels), strides, pads, (1, 1), channels)


AVERAGE_POOLS_AS_CONVOLUTIONS = GraphPass("average-pools", average_pools_as_convolutions, carries_over=False)
