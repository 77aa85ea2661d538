"""Prove from a graph's operators that a tensor has no negative value."""

from __future__ import annotations

import numpy as np
import onnx

from rtseg.engines.rewriting.places import in_type_of
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

_ALWAYS = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp", "Softplus"})
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})
_REDUCTIONS = frozenset({"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"})
_MOVES = frozenset({"Identity", "Reshape", "Transpose", "Slice", "Gather", "Squeeze", "Unsqueeze", "Flatten", "Expand"})
_AS_THEIR_FIRST = _POOLS | _REDUCTIONS | _MOVES | {"DepthToSpace", "SpaceToDepth", "Split", "Sqrt"}
_AS_ALL = frozenset({"Concat", "Add", "Mul", "Min"})


def is_nonnegative(view: GraphView, tensor: str) -> bool:
    """Return whether no value of the tensor can be negative, for any picture; False if that is not proven."""
    waiting, proven = [tensor], set()
    while waiting:
        name = waiting.pop()
        if name in proven:
            continue
        proven.add(name)
        if view.is_constant(name):
            if not _is_constant_from_zero(view, name):
                return False
            continue
        node = view.producer(name)
        if node is None:
            return False
        needed = _what_has_to_be(view, node)
        if needed is None:
            return False
        waiting += needed
    return True


def settled(change: GraphChange, tensor: str) -> str:
    """Add arithmetic that does not change a tensor's values; return the name of its result.

    A kernel that computes may write into its place in a Concat and read from there; one that only moves values may not.
    """
    kind, *constants = neutral(change, tensor)
    return change.add(kind, [tensor, *constants], f"{tensor}_settled")


def neutral(change: GraphChange, tensor: str) -> tuple[str, ...]:
    """Return an operator that does not change the tensor's values, and its inputs beside the tensor.

    A ReLU where no value can be negative, else the addition of zero.
    """
    if is_nonnegative(change.view, tensor):
        return ("Relu",)
    zero = change.constant(f"{tensor}_zero", in_type_of(change.view, tensor, np.zeros((1, 1, 1, 1))))
    return "Add", zero


def _what_has_to_be(view: GraphView, node: onnx.NodeProto) -> list[str] | None:
    """Return the tensors that must not be negative so that the node's output is not; None if nothing is known."""
    kind = node.op_type
    if kind in _ALWAYS:
        return []
    if kind == "Clip":
        low, high = (*node.input[1:], "", "")[:2]
        if high and not _is_constant_from_zero(view, high):
            return None
        return [] if _is_constant_from_zero(view, low) else [node.input[0]]
    if kind in _AS_THEIR_FIRST:
        return [node.input[0]]
    if kind in _AS_ALL:
        return list(node.input)
    if kind == "Max":  # one that is not negative is enough
        return [] if any(_is_constant_from_zero(view, name) for name in node.input) else list(node.input)
    if kind == "Resize" and attribute(node, "mode", b"nearest") in (b"nearest", b"linear"):
        tf_crop = attribute(node, "coordinate_transformation_mode", b"half_pixel") == b"tf_crop_and_resize"
        return None if tf_crop else [node.input[0]]
    if kind == "Pad" and attribute(node, "mode", b"constant") != b"constant":
        return [node.input[0]]
    if kind == "Pad":
        return [node.input[0], *(name for name in node.input[2:3] if name)]
    return None


def _is_constant_from_zero(view: GraphView, tensor: str) -> bool:
    return view.is_constant(tensor) and bool((view.constant(tensor) >= 0).all())
