"""Find the tensor with the class scores in another exporter's graph, going back from an output.

ArgMax, TopK          their input, along the axis of classes
a comparison, Round   its input, with its threshold
Cast, Squeeze, ...    their input, as long as it is floating point
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from rtseg.graphs.view import GraphView, attribute
from rtseg.networks.outputs import stride_of
from rtseg.specs import Resolution

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
PASSES_ON = frozenset({"Cast", "Squeeze", "Unsqueeze", "Identity", "Reshape", "Flatten"})
"""Operators that change how values are stored, but not the values."""

_CHOOSES = frozenset(
    {"ArgMax", "ArgMin", "TopK", "ReduceMax", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Round"}
)
_WEIGHS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """The tensor with the class scores for one output. shape is in NCHW; cut are the operators after it.

    threshold is the threshold of a mask, None if classes are compared with each other. decided is True if the output is
    labels or a mask, flat if the tensor has no channel axis.
    """

    tensor: str
    element: int
    shape: Shape
    channels_last: bool = False
    cut: tuple[str, ...] = ()
    threshold: float | None = None
    decided: bool = False
    flat: bool = False


def beside(scored: Mapping[str, Scores]) -> set[str]:
    """Return the outputs that only repeat others: labels beside scores, and the same scores again."""
    plain = {name for name, scores in scored.items() if not scores.decided}
    repeated, seen = set(), set()
    for name, scores in scored.items():
        if (plain and scores.decided) or scores.tensor in seen:
            repeated.add(name)
        seen.add(scores.tensor)
    return repeated


def scores_of(view: GraphView, output: str, classes: int | None, resolution: Resolution) -> Scores | None:
    """Return the scores of an output: the input of its decision, else the output before any casts."""
    decision = _decision(view, output)
    tensor, cut, axis, threshold = decision or (output, (), None, None)
    while True:
        shape, node = _shape(view, tensor), view.producer(tensor)
        if len(shape) == 4 and all(shape) and _is_float(view, tensor) and not _renames(view, node):
            break
        if decision is None and _is_one_map(view, tensor, shape, classes, resolution):
            shape = (1, 1, *shape[1:])
            break
        if node is None or node.op_type not in PASSES_ON or _is_rounded(view, node, tensor):
            return None
        tensor, cut = node.input[0], (node.op_type, *cut)
    first, last = shape, (shape[0], shape[3], shape[1], shape[2])
    if axis is None:
        turned = stride_of(first, classes, resolution) is None and stride_of(last, classes, resolution) is not None
    else:
        turned = axis == -1
    scored = last if turned else first
    if threshold is not None and scored[1] != 1:  # one mask per class: a pixel may have several classes, or none
        return None
    if decision is None and scored[1] == 1 and _chosen_before(view, tensor):
        return None
    flat = len(_shape(view, tensor)) == 3
    return Scores(tensor, view.element_type(tensor), scored, turned, cut, threshold, decision is not None, flat)


def _is_one_map(view: GraphView, tensor: str, shape: Shape, classes: int | None, resolution: Resolution) -> bool:
    """Return whether a tensor is one channel without its axis: (1, height, width)."""
    if len(shape) != 3 or classes not in (None, 2) or not _is_float(view, tensor):
        return False
    return stride_of((1, 1, *shape[1:]), classes, resolution) is not None and shape[0] == 1


def _is_rounded(view: GraphView, node: onnx.NodeProto, tensor: str) -> bool:
    """Return whether a Cast turns floating-point values into integers; the lost fraction is not in the labels."""
    return node.op_type == "Cast" and _is_float(view, node.input[0]) and not _is_float(view, tensor)


def _chosen_before(view: GraphView, tensor: str) -> bool:
    """Return whether a decision lies between the last weights and a tensor: then it holds labels, not scores."""
    waiting, seen = [tensor], set[str]()
    while waiting and len(seen) < 500:
        node = view.producer(waiting.pop())
        if node is None or node.output[0] in seen or node.op_type in _WEIGHS:
            continue
        seen.add(node.output[0])
        if node.op_type in _CHOOSES and (node.op_type != "ReduceMax" or _shape(view, node.input[0])[1:2] > (1,)):
            return True
        waiting += [name for name in node.input if name]
    return False


def _renames(view: GraphView, node: onnx.NodeProto | None) -> bool:
    """Return whether a node passes its floating-point input on, unchanged or in another precision."""
    return node is not None and node.op_type in ("Identity", "Cast") and _is_float(view, node.input[0])


def _is_float(view: GraphView, tensor: str) -> bool:
    try:
        return view.element_type(tensor) in FLOATS
    except KeyError:
        return False


def _decision(view: GraphView, output: str) -> tuple[str, tuple[str, ...], int | None, float | None] | None:
    """Return the input of a final decision, the operators from it to the end, and its axis or its threshold."""
    tensor, cut = output, tuple[str, ...]()
    while (node := view.producer(tensor)) is not None:
        cut = (node.op_type, *cut)
        if node.op_type in PASSES_ON or (node.op_type == "Where" and _is_zero_and_one(view, node)):
            tensor = node.input[0]
        elif node.op_type == "ArgMax" or _is_first(view, node, tensor):
            axis = _axis_from_the_end(view, node)
            return None if axis not in (-3, -1) else (node.input[0], cut, axis, None)
        else:
            compared = _comparison(view, node)
            return None if compared is None else (compared[0], cut, None, compared[1])
    return None


def _axis_from_the_end(view: GraphView, node: onnx.NodeProto) -> int:
    """Return the axis of a decision, counted from the last, which is -1; 0 if the rank is unknown."""
    rank, axis = len(_shape(view, node.input[0])), attribute(node, "axis", -1 if node.op_type == "TopK" else 0)
    return int(axis) if axis < 0 else int(axis) - rank if rank else 0


def _comparison(view: GraphView, node: onnx.NodeProto) -> tuple[str, float] | None:
    """Return the compared tensor and the number above which the comparison is true; None for any other node."""
    if node.op_type == "Round":  # 0.5 becomes 0
        return node.input[0], 0.5
    places = {"Greater": (0, 1), "GreaterOrEqual": (0, 1), "Less": (1, 0), "LessOrEqual": (1, 0)}.get(node.op_type)
    if places is None:
        return None
    value, number = (node.input[place] for place in places)
    if not view.is_constant(number) or view.constant(number).size != 1:
        return None
    threshold = np.float32(view.constant(number).reshape(()))
    if node.op_type.endswith("OrEqual"):
        threshold = np.nextafter(threshold, np.float32(-np.inf))
    return value, float(threshold)


def _is_first(view: GraphView, node: onnx.NodeProto, tensor: str) -> bool:
    """Return whether a tensor is the index of the largest value, from a TopK."""
    if node.op_type != "TopK" or tensor != node.output[1] or not attribute(node, "largest", 1):
        return False
    return view.is_constant(node.input[1]) and int(view.constant(node.input[1]).reshape(())) == 1


def _is_zero_and_one(view: GraphView, node: onnx.NodeProto) -> bool:
    """Return whether a Where writes a mask as 1 and 0."""
    values = [view.constant(name) for name in node.input[1:3] if view.is_constant(name)]
    return len(values) == 2 and bool((values[0] == 1).all()) and bool((values[1] == 0).all())


def words_of(view: GraphView, output: str) -> str:
    """Return a text with type and shape of an output, and its operator."""
    node, shape = view.producer(output), _shape(view, output)
    try:
        element = TensorProto.DataType.Name(view.element_type(output)).lower()
    except KeyError:
        element = "unknown"
    return f"{output} {element} {'x'.join(map(str, shape)) or '?'}{f' by {node.op_type}' if node is not None else ''}"


def _shape(view: GraphView, tensor: str) -> Shape:
    try:
        return view.shape(tensor)
    except KeyError:
        return ()
