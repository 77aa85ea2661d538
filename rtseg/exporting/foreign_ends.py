"""The two ends of somebody's graph: how it takes a picture, and which tensor scores the classes.

Others end a graph in labels (ArgMax or TopK, and casts and squeezes behind it), in a mask (a comparison), or with
channels last. What follows the scores is cut off, and both ends are turned to float32 NCHW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper

from rtseg.errors import NetworkError, OnnxError
from rtseg.exporting.one_size import only_input
from rtseg.exporting.simplify import drop_unused, keep_nodes
from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute
from rtseg.networks.outputs import Head, head_of, stride_of
from rtseg.specs import Resolution

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
PASSES_ON = frozenset({"Cast", "Squeeze", "Unsqueeze", "Identity", "Reshape", "Flatten"})
"""Operators that change how values are stored, not which they are."""

_KEEPS_RANGE = PASSES_ON | {"Resize", "Slice", "Transpose", "Crop"}
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
RGB = 3

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """The tensor that scores the classes, of one output. shape is in NCHW; cut are the operators behind it.

    threshold is what a mask compares with, None where classes are compared with each other. decided says that the
    output gives labels or a mask.
    """

    tensor: str
    element: int
    shape: Shape
    channels_last: bool = False
    cut: tuple[str, ...] = ()
    threshold: float | None = None
    decided: bool = False


@dataclass(frozen=True)
class ForeignEnds:
    """How a graph at one size takes a picture, and the scores of the output that was chosen."""

    input: str
    element: int
    channels_last: bool
    resolution: Resolution
    output: str
    scores: Scores

    def changes(self) -> list[str]:
        """Return in words what `with_plain_ends` changes."""
        cut = " and ".join(dict.fromkeys(name for name in self.scores.cut if name != "Identity"))
        words = [f"{cut} at the end cut off, the scores kept"] if cut else []
        for last, what in ((self.channels_last, "input"), (self.scores.channels_last, "output")):
            words += [f"{what} with channels last became channels first"] if last else []
        for element, what in ((self.element, "input"), (self.scores.element, "output")):
            name = TensorProto.DataType.Name(element).lower()
            words += [f"{what} of {name} became float32"] if element != TensorProto.FLOAT else []
        if self.scores.threshold is not None:
            words.append(f"one channel: class 1 where it is above {self.scores.threshold:g}")
        return words


def takes_floats(model: onnx.ModelProto, label: str) -> bool:
    """Return whether the graph takes a picture of floating-point values."""
    return only_input(model, label).type.tensor_type.elem_type in FLOATS


def foreign_ends(
    model: onnx.ModelProto, label: str, *, classes: int | None = None, head: Head = None, threshold: float | None = None
) -> ForeignEnds:
    """Return the ends of a graph at one size that takes floating-point values.

    classes is how many there are, None where nobody said; head picks an output by name or place; threshold is that of
    a single channel, by default a mask's own, 0.5 behind a sigmoid and else 0. Raises OnnxError for a graph whose input
    is no picture, and NetworkError where no output scores the classes, or several could.
    """
    source = only_input(model, label)
    sides = tuple(side.dim_value for side in source.type.tensor_type.shape.dim)
    last = sides[3] == RGB and sides[1] != RGB
    if not last and sides[1] != RGB:
        expected = "1x3xHxW, or 1xHxWx3"
        raise OnnxError(f"the input {source.name} of {label} has no 3 channels", got=sides, expected=expected)
    resolution = Resolution(*(sides[1:3] if last else sides[2:4]))
    view = GraphView(model)
    scored: dict[str, Scores] = {}
    shapes: dict[str, Shape] = {}
    for output in [value.name for value in model.graph.output]:
        found = _scores_of(view, output, classes, resolution)
        if found is not None and head is None and found.tensor in {scores.tensor for scores in scored.values()}:
            continue  # labels beside their own scores
        if found is not None:
            scored[output] = found
        shapes[output] = _shape(view, output) if found is None else found.shape
    fits = any(stride_of(scores.shape, classes, resolution) is not None for scores in scored.values())
    chosen = head_of(shapes, classes if fits else None, resolution, head, label)
    if chosen not in scored:
        raise NetworkError(
            f"output {chosen} of {label} scores no classes",
            got=f"{_words(view, chosen)} {shapes[chosen]}",
            expected="scores, labels by ArgMax or TopK, or one mask",
            hint="--output with another output, or an export without what follows the scores",
        )
    scores = scored[chosen]
    if scores.shape[1] == 1:
        known = scores.threshold if scores.threshold is not None else _usual_threshold(view, scores.tensor)
        scores = replace(scores, threshold=known if threshold is None else threshold)
    elif threshold is not None:
        raise OnnxError(f"{label} has a channel for each class", got=f"--threshold {threshold:g}", hint="without it")
    return ForeignEnds(source.name, int(source.type.tensor_type.elem_type), last, resolution, chosen, scores)


def with_plain_ends(model: onnx.ModelProto, ends: ForeignEnds) -> None:
    """Let the graph take float32 NCHW and give its scores so, and nothing else, in place."""
    taken, before, after = names_in(model), [], []
    graph, scores = model.graph, ends.scores
    read = ends.input
    if ends.element != TensorProto.FLOAT or ends.channels_last:
        inner = fresh_name(f"{ends.input}.given", taken)
        for node in graph.node:
            node.input[:] = [inner if name == ends.input else name for name in node.input]
        if ends.channels_last:
            turned = inner if ends.element == TensorProto.FLOAT else fresh_name(f"{inner}.last", taken)
            before.append(helper.make_node("Transpose", [read], [turned], perm=TO_LAST))
            read = turned
        if ends.element != TensorProto.FLOAT:
            before.append(helper.make_node("Cast", [read], [inner], to=ends.element))
    given = scores.tensor
    if scores.element != TensorProto.FLOAT:
        converted = fresh_name(f"{given}.float", taken)
        after.append(helper.make_node("Cast", [given], [converted], to=TensorProto.FLOAT))
        given = converted
    if scores.channels_last:
        turned = fresh_name(f"{given}.first", taken)
        after.append(helper.make_node("Transpose", [given], [turned], perm=TO_FIRST))
        given = turned
    if given == ends.input or (not after and given not in {name for node in graph.node for name in node.output}):
        named = fresh_name(f"{given}.output", taken)
        after.append(helper.make_node("Identity", [given], [named]))
        given = named
    keep_nodes(model, [*before, *graph.node, *after])
    shape = (1, RGB, ends.resolution.height, ends.resolution.width)
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info(ends.input, TensorProto.FLOAT, shape))
    graph.output.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, scores.shape))
    _cancel_transposes(model)
    drop_unused(model)


def _scores_of(view: GraphView, output: str, classes: int | None, resolution: Resolution) -> Scores | None:
    """Return the scores behind an output: those that a decision reads, else the output as it was before casts."""
    decision = _decision(view, output)
    tensor, cut, axis, threshold = decision or (output, (), None, None)
    while True:
        shape, node = _shape(view, tensor), view.producer(tensor)
        if len(shape) == 4 and all(shape) and view.element_type(tensor) in FLOATS and not _renames(view, node):
            break
        if node is None or node.op_type not in PASSES_ON:
            return None
        tensor, cut = node.input[0], (node.op_type, *cut)
    first, last = shape, (shape[0], shape[3], shape[1], shape[2])
    if axis is None:
        turned = stride_of(first, classes, resolution) is None and stride_of(last, classes, resolution) is not None
    else:
        turned = axis in (-1, 3)
    scored = last if turned else first
    if threshold is not None and scored[1] != 1:  # a mask for each class: a pixel may have several, or none
        return None
    return Scores(tensor, view.element_type(tensor), scored, turned, cut, threshold, decision is not None)


def _renames(view: GraphView, node: onnx.NodeProto | None) -> bool:
    """Return whether a node gives the floating-point values that it takes, as they are or in another precision."""
    return node is not None and node.op_type in ("Identity", "Cast") and _is_float(view, node.input[0])


def _is_float(view: GraphView, tensor: str) -> bool:
    try:
        return view.element_type(tensor) in FLOATS
    except KeyError:
        return False


def _decision(view: GraphView, output: str) -> tuple[str, tuple[str, ...], int | None, float | None] | None:
    """Return what a decision at the end reads, the operators up to it, its axis of classes, or its threshold."""
    tensor, cut = output, tuple[str, ...]()
    while (node := view.producer(tensor)) is not None:
        cut = (node.op_type, *cut)
        if node.op_type in PASSES_ON or (node.op_type == "Where" and _is_zero_and_one(view, node)):
            tensor = node.input[0]
        elif node.op_type == "ArgMax":
            return node.input[0], cut, attribute(node, "axis", 0), None
        elif node.op_type == "TopK" and tensor == node.output[1] and _is_first(view, node):
            return node.input[0], cut, attribute(node, "axis", -1), None
        else:
            compared = _comparison(view, node)
            return None if compared is None else (compared[0], cut, None, compared[1])
    return None


def _comparison(view: GraphView, node: onnx.NodeProto) -> tuple[str, float] | None:
    """Return what a node compares with a number, and above which number it is true; None for any other node."""
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


def _is_first(view: GraphView, node: onnx.NodeProto) -> bool:
    """Return whether a TopK gives the index of the largest value alone."""
    count = node.input[1]
    return (
        bool(attribute(node, "largest", 1)) and view.is_constant(count) and int(view.constant(count).reshape(())) == 1
    )


def _is_zero_and_one(view: GraphView, node: onnx.NodeProto) -> bool:
    """Return whether a Where writes a mask as 1 and 0."""
    values = [view.constant(name) for name in node.input[1:3] if view.is_constant(name)]
    return len(values) == 2 and bool((values[0] == 1).all()) and bool((values[1] == 0).all())


def _usual_threshold(view: GraphView, tensor: str) -> float:
    """Return 0.5 for what a sigmoid gave, resized or not, and 0 for a logit."""
    node = view.producer(tensor)
    while node is not None and node.op_type in _KEEPS_RANGE:
        node = view.producer(node.input[0])
    return 0.5 if node is not None and node.op_type in ("Sigmoid", "HardSigmoid", "Clip") else 0.0


def _words(view: GraphView, tensor: str) -> str:
    return str(TensorProto.DataType.Name(view.element_type(tensor)).lower())


def _shape(view: GraphView, tensor: str) -> Shape:
    try:
        return view.shape(tensor)
    except KeyError:
        return ()


def _cancel_transposes(model: onnx.ModelProto) -> None:
    """Let what reads a Transpose of a Transpose that undoes it read the first one's input, in place."""
    producers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type != "Transpose":
            continue
        first = producers.get(node.input[0])
        if first is None or first.op_type != "Transpose":
            continue
        if _undoes(attribute(first, "perm", ()), attribute(node, "perm", ())):
            node.op_type, node.input[0] = "Identity", first.input[0]
            del node.attribute[:]


def _undoes(first: Sequence[int], second: Sequence[int]) -> bool:
    return len(first) == len(second) > 0 and [first[place] for place in second] == list(range(len(first)))
