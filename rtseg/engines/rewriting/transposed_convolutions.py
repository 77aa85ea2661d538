"""Write a transposed convolution at the end of a graph as a convolution at the input's size, and DepthToSpace."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import CHANNELS_TOGETHER, Convolution, add_convolution
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import is_map
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute


def transposed_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write ConvTransposes with stride s as convolutions with s*s times the channels, and DepthToSpace.

    Only if both strides are equal, there is one group, the output's sides are multiples of the stride, and its channels
    are not a multiple of CHANNELS_TOGETHER: else no channels are padded, and the transposed convolution is better.
    """
    change = GraphChange(model)
    view = change.view
    for node in view.nodes:
        convolution = _by_phase(view, node) if node.op_type == "ConvTranspose" and _pads_channels(view, node) else None
        if convolution is not None:
            result, step = node.output[0], attribute(node, "strides", [1, 1])[0]
            phases = add_convolution(change, node.input[0], result, convolution, f"{result}_phases")
            change.define(result, "DepthToSpace", [phases], blocksize=step, mode="CRD")
    return change.result()


def _pads_channels(view: GraphView, node: onnx.NodeProto) -> bool:
    return is_map(view, node.output[0]) and view.shape(node.output[0])[1] % CHANNELS_TOGETHER > 0


def _by_phase(view: GraphView, node: onnx.NodeProto) -> Convolution | None:
    """Return the convolution whose channels (c, y, x) are those of the node's output c at places y, x of each step."""
    if not all(view.is_constant(name) for name in node.input[1:] if name) or attribute(node, "group", 1) != 1:
        return None
    step, other = attribute(node, "strides", [1, 1])
    states_pads = attribute(node, "auto_pad", b"NOTSET") == b"NOTSET" and not attribute(node, "output_shape", [])
    if step != other or step < 2 or not states_pads or set(attribute(node, "dilations", [1])) != {1}:
        return None
    weight = view.constant(node.input[1]).astype(np.float64)
    before, after = view.shape(node.input[0])[2:], view.shape(node.output[0])[2:]
    pads = attribute(node, "pads", [0, 0, 0, 0])
    sides = [_side(before[axis], after[axis], weight.shape[2 + axis], step, pads[axis]) for axis in (0, 1)]
    rows, columns = sides
    if rows is None or columns is None:
        return None
    inputs, channels = weight.shape[:2]
    by_phase = np.zeros((channels, step, step, inputs, rows.taps, columns.taps))
    for row, tap_row, from_row in rows.places:
        for column, tap_column, from_column in columns.places:
            by_phase[:, row, column, :, tap_row, tap_column] = weight[:, :, from_row, from_column].T
    bias = np.zeros(channels)
    if len(node.input) > 2 and node.input[2]:
        bias = view.constant(node.input[2]).astype(np.float64)
    return Convolution(
        by_phase.reshape(channels * step * step, inputs, rows.taps, columns.taps),
        np.repeat(bias, step * step),
        (1, 1),
        (rows.first, columns.first, rows.last, columns.last),
        (1, 1),
        1,
    )


class _Side(NamedTuple):
    """Along one side: the number of taps, the padding first and last, and the weight of each tap of each phase."""

    taps: int
    first: int
    last: int
    places: list[tuple[int, int, int]]


def _side(before: int, after: int, kernel: int, step: int, pad: int) -> _Side | None:
    """Return the taps: output step*q + phase reads input q + offset with weight phase + pad - step*offset."""
    if after % step:
        return None
    weights = {}
    for phase in range(step):
        for weight in range((phase + pad) % step, kernel, step):
            weights[phase, (phase + pad - weight) // step] = weight
    offsets = [offset for _, offset in weights]
    lowest, highest = min(offsets), max(offsets)
    first, last = -lowest, after // step + highest - before
    if first < 0 or last < 0:
        return None
    places = [(phase, offset - lowest, weight) for (phase, offset), weight in weights.items()]
    return _Side(highest - lowest + 1, first, last, places)


TRANSPOSED_CONVOLUTIONS = GraphPass("transposed-convolutions", transposed_convolutions, carries_over=False)
