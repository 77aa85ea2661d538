"""Compute the class of each pixel by comparisons, in the kernel that enlarges the scores.

A compiler gives an ArgMax a separate kernel, which reads the scores of all classes at full size from memory. One
comparison for each class is pointwise instead. If the enlargement is written as Gathers, everything from the small
scores to the labels is pointwise, and the enlarged scores never reach memory.

    ArgMax(Resize(s))      best, label = s[0], 0; for each class: label = where(s[c] > best, c, label); best = max
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.resize_taps import Taps, spatial_taps
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import attribute

MAX_CLASSES = 64
"""Most classes. Each adds five operators. Cityscapes has 19, COCO-Stuff 171: kernels for so many were never counted."""

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def _rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    change = GraphChange(model)
    for node in change.view.nodes:
        if _is_found(change, node):
            _compare(change, node)
    return change.result()


def _is_found(change: GraphChange, node: onnx.NodeProto) -> bool:
    """Return whether the node is an ArgMax over a few channels of a map that returns the first maximum."""
    view = change.view
    if node.op_type != "ArgMax" or attribute(node, "select_last_index", 0):
        return False
    shape = view.shape(node.input[0])
    return (
        len(shape) == 4
        and attribute(node, "axis", 0) in (1, -3)
        and 2 <= shape[1] <= MAX_CLASSES
        and view.element_type(node.input[0]) in _FLOATS
    )


def _compare(change: GraphChange, node: onnx.NodeProto) -> None:
    view, result = change.view, node.output[0]
    scores = _enlarged(change, node.input[0])
    kind = helper.tensor_dtype_to_np_dtype(view.element_type(node.input[0]))
    axis = change.constant(f"{result}_axis", np.array([1]))
    planes = []
    for number in range(view.shape(node.input[0])[1]):
        first, last = (change.constant(f"{result}_{number}_{end}", np.array([number + end])) for end in (0, 1))
        plane = change.add("Slice", [scores, first, last, axis], f"{result}_score_{number}")
        if not attribute(node, "keepdims", 1):
            plane = change.add("Squeeze", [plane, axis], f"{result}_plane_{number}")
        planes.append(plane)
    best, label = planes[0], change.constant(f"{result}_class_0", np.zeros((), kind))
    for number, plane in enumerate(planes[1:], 1):
        index = change.constant(f"{result}_class_{number}", np.array(number, kind))
        greater = change.add("Greater", [plane, best], f"{result}_is_{number}")
        label = change.add("Where", [greater, index, label], f"{result}_label_{number}")
        if number < len(planes) - 1:
            best = change.add("Max", [best, plane], f"{result}_best_{number}")
    readers = view.readers(result)
    for reader in readers:
        if reader.node.op_type == "Cast":
            change.define(reader.node.output[0], "Cast", [label], to=attribute(reader.node, "to", 0))
    if result == view.output or any(reader.node.op_type != "Cast" for reader in readers):
        change.define(result, "Cast", [label], to=TensorProto.INT64)


def _enlarged(change: GraphChange, tensor: str) -> str:
    """Return half the tensor, computed by Gathers; the tensor itself if it is not the result of a linear Resize.

    Half the scores have the same greatest channel, and no difference of two halves overflows FP16.
    """
    node = change.view.producer(tensor)
    taps = spatial_taps(change.view, node) if node is not None else None
    if node is None or taps is None:
        return tensor
    kind = helper.tensor_dtype_to_np_dtype(change.view.element_type(tensor))
    half = change.constant(f"{tensor}_half", np.array(0.5, kind))
    scores = change.add("Mul", [node.input[0], half], f"{tensor}_halved")
    rows = _along(change, scores, taps[0], 2, kind, f"{tensor}_rows")
    return _along(change, rows, taps[1], 3, kind, f"{tensor}_columns")


def _along(change: GraphChange, tensor: str, taps: Taps, axis: int, kind: np.dtype[np.generic], name: str) -> str:
    """Return near + (far - near) * share of a tensor along one axis, share at most 1/2.

    In FP16 the error is smaller than that of near * (1 - share) + far * share: only a small term is rounded before the
    sum.
    """
    is_second_nearer = taps.share > 0.5
    near = np.where(is_second_nearer, taps.second, taps.first)
    far = np.where(is_second_nearer, taps.first, taps.second)
    sides = [1, 1, 1, 1]
    sides[axis] = len(near)
    share = change.constant(f"{name}_share", np.minimum(taps.share, 1 - taps.share).astype(kind).reshape(sides))
    one, other = (
        change.add("Gather", [tensor, change.constant(f"{name}_{word}_places", places)], f"{name}_{word}", axis=axis)
        for word, places in (("near", near), ("far", far))
    )
    difference = change.add("Sub", [other, one], f"{name}_difference")
    return change.add("Add", [one, change.add("Mul", [difference, share], f"{name}_part")], name)


LABELS_BY_COMPARISON = GraphPass(
    name="labels-by-comparison",
    rewrite=_rewritten,
    carries_over=False,
)
