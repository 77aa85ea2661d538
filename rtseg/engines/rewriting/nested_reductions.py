"""Compute a mean or maximum of a map from one over fewer of its axes that the graph has anyway.

    mean of x over rows and columns    becomes    the mean over columns of the mean of x over rows

The map is read once instead of twice. All parts of a static map are of one size, so the mean of means is the mean.
"""

from __future__ import annotations

import numpy as np
import onnx

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import static_shape
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

KINDS = ("ReduceMean", "ReduceMax", "ReduceMin")


def _rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    change = GraphChange(model)
    for node in change.view.nodes:
        part = _part(change.view, node)
        if part is not None:
            _reduce_further(change, node, part)
    return change.result()


def _part(view: GraphView, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Return the reduction of the same kind and tensor over most, but not all, of the node's axes; None without one."""
    axes = _axes(view, node)
    if not axes:
        return None
    others = [reader.node for reader in view.readers(node.input[0]) if reader.node.op_type == node.op_type]
    parts = [other for other in others if set() < _axes(view, other) < axes and attribute(other, "keepdims", 1)]
    return max(parts, key=lambda other: len(_axes(view, other)), default=None)


def _axes(view: GraphView, node: onnx.NodeProto) -> set[int]:
    rank = len(static_shape(view, node.input[0])) if node.op_type in KINDS else 0
    if not rank:
        return set()
    return {axis % rank for axis in attribute(node, "axes", [])}


def _reduce_further(change: GraphChange, node: onnx.NodeProto, part: onnx.NodeProto) -> None:
    view, result = change.view, node.output[0]
    rest = sorted(_axes(view, node) - _axes(view, part))
    if attribute(node, "keepdims", 1):
        change.define(result, node.op_type, [part.output[0]], axes=rest, keepdims=1)
        return
    made = change.add(node.op_type, [part.output[0]], f"{result}_kept", axes=rest, keepdims=1)
    change.define(result, "Reshape", [made, change.constant(f"{result}_sizes", np.array(view.shape(result)))])


NESTED_REDUCTIONS = GraphPass(
    name="nested-reductions",
    rewrite=_rewritten,
    carries_over=True,
)
