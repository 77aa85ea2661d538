"""What a Concat joins of a Resize or a Slice: kept from being one kernel with it, which would copy all other parts."""

from __future__ import annotations

import numpy as np
import onnx

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.nonnegative import is_nonnegative
from rtseg.engines.rewriting.places import in_type_of, is_map
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

MOVING = frozenset({"Resize", "Slice", "Pad", "Expand", "Gather", "Tile", "Transpose", "Reshape", "DepthToSpace"})
"""Operators that move values about; the compiler joins them with a Concat in one kernel that writes all parts anew."""


def moved_parts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put arithmetic that changes nothing behind what a Concat of channels joins of a Resize, Slice and their like.

    A kernel that computes writes into its place in the Concat, and the other parts stay where they are. The arithmetic
    is a ReLU where no value can be negative, else the addition of zero. Where no other part is finished already (every
    one is moved too), nothing would be saved.
    """
    change = GraphChange(model)
    view = change.view
    for node in view.nodes:
        if node.op_type != "Concat" or not is_map(view, node.output[0]) or attribute(node, "axis", 0) not in (1, -3):
            continue
        moved = [name for name in dict.fromkeys(node.input) if _is_moved(view, name)]
        if not moved or len(moved) == len(set(node.input)):
            continue
        settled = {name: _settled(change, name) for name in moved}
        change.define(node.output[0], "Concat", [settled.get(name, name) for name in node.input], axis=1)
    return change.result()


def _is_moved(view: GraphView, tensor: str) -> bool:
    maker = view.producer(tensor)
    return maker is not None and maker.op_type in MOVING and is_map(view, tensor)


def _settled(change: GraphChange, tensor: str) -> str:
    if is_nonnegative(change.view, tensor):
        return change.add("Relu", [tensor], f"{tensor}_settled")
    zero = change.constant(f"{tensor}_zero", in_type_of(change.view, tensor, np.zeros((1, 1, 1, 1))))
    return change.add("Add", [tensor, zero], f"{tensor}_settled")


MOVED_PARTS = GraphPass("moved-parts", moved_parts, "a copy of what else a Concat joins", carries_over=False)
