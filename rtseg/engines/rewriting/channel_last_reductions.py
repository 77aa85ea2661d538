"""Compute means and maxima of a map on a view of it whose last axis is the channels.

The compiler stores maps with the channels last. A reduction of such a view is one kernel that reads the map as it is
stored, and two reductions of one view share a kernel; in NCHW each takes one kernel or several. A large map is reduced
in two steps, first in up to 64 parts, because one result for each channel does not occupy all of a card's processors.

There are three passes, because the gain differs between networks: over rows and columns, over one of them, and over
the channels.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

import numpy as np
import onnx

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import static_shape
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

Axes = tuple[int, ...]

CHANNELS_LAST, CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
REDUCTIONS = {
    "ReduceMean": "ReduceMean",
    "ReduceMax": "ReduceMax",
    "ReduceMin": "ReduceMin",
    "GlobalAveragePool": "ReduceMean",
    "GlobalMaxPool": "ReduceMax",
}
IN_ONE_STEP = 2048
"""Most values that one step reduces: FP16 may sum so many (fp16_rules), and for fewer a second step adds a kernel."""

PARTS = 64
"""Most parts of a map that is reduced in two steps."""

_VIEWS = frozenset({"Transpose", "Reshape", *REDUCTIONS})
"""What makes a map a view, or so small that its order is nothing. Our own views are among them."""


def _rewritten(model: onnx.ModelProto, *, over: Collection[Axes]) -> onnx.ModelProto:
    change = GraphChange(model)
    for node in change.view.nodes:
        axes = _reduced(change.view, node)
        if axes in over:
            _reduce(change, node, axes)
    return change.result()


def _reduced(view: GraphView, node: onnx.NodeProto) -> Axes:
    """Return the axes of an NCHW map over which the node reduces; empty if it is no such reduction."""
    if node.op_type not in REDUCTIONS or len(static_shape(view, node.input[0])) != 4:
        return ()
    source = view.producer(node.input[0])
    if source is not None and source.op_type in _VIEWS:
        return ()
    if node.op_type.startswith("Global"):
        return (2, 3)
    return tuple(sorted(axis % 4 for axis in attribute(node, "axes", [])))


def _reduce(change: GraphChange, node: onnx.NodeProto, axes: Axes) -> None:
    view, source, result = change.view, node.input[0], node.output[0]
    kind = REDUCTIONS[node.op_type]
    batch, channels, height, width = view.shape(source)
    places = [CHANNELS_LAST.index(axis) for axis in axes]
    made = change.add("Transpose", [source], f"{source}_channels_last", perm=CHANNELS_LAST)
    parts = _parts(height * width)
    if axes == (2, 3) and parts > 1:
        made = _reshaped(change, made, (batch, parts, height * width // parts, channels), f"{source}_parts")
        made = change.add(kind, [made], f"{result}_of_parts", axes=[2], keepdims=1)
        places = [1]
    made = change.add(kind, [made], f"{result}_channels_last", axes=places, keepdims=1)
    if axes in ((2,), (3,)):
        if attribute(node, "keepdims", 1):
            change.define(result, "Transpose", [made], perm=CHANNELS_FIRST)
            return
        made = change.add("Transpose", [made], f"{result}_channels_first", perm=CHANNELS_FIRST)
    sizes = change.constant(f"{result}_sizes", np.array(view.shape(result)))
    change.define(result, "Reshape", [made, sizes])


def _parts(pixels: int) -> int:
    """Return the number of equal parts that a map of so many pixels is cut into; 1 if it is small or none fits."""
    if pixels <= IN_ONE_STEP:
        return 1
    return next(parts for parts in range(PARTS, 0, -1) if pixels % parts == 0)


def _reshaped(change: GraphChange, tensor: str, shape: Axes, name: str) -> str:
    return change.add("Reshape", [tensor, change.constant(f"{name}_sizes", np.array(shape))], name)


def _pass(over: Collection[Axes], what: str) -> GraphPass:
    return GraphPass(f"{what}-on-channel-last", functools.partial(_rewritten, over=over), carries_over=False)


GLOBAL_REDUCTIONS = _pass([(2, 3)], "global-reductions")
STRIP_REDUCTIONS = _pass([(2,), (3,)], "strip-reductions")
CHANNEL_REDUCTIONS = _pass([(1,)], "channel-reductions")
