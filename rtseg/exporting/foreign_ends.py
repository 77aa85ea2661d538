"""The two ends of another exporter's graph: the picture's layout at its input, and the tensor with the class scores.

Other exporters end a graph in labels (ArgMax or TopK, then casts and squeezes), in a mask (a comparison), or with
channels last. Nodes after the scores are removed, and both ends become float32 NCHW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import OnnxError
from rtseg.exporting.foreign_scores import FLOATS, Scores, beside, scores_of, words_of
from rtseg.exporting.one_size import only_input
from rtseg.exporting.simplify import drop_unused, keep_nodes
from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute
from rtseg.networks.outputs import Head, head_of, stride_of
from rtseg.specs import Resolution

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
RGB = 3


@dataclass(frozen=True)
class ForeignEnds:
    """The input of a graph at one size (element: an onnx.TensorProto type), and the scores of the chosen output."""

    input: str
    element: int
    channels_last: bool
    resolution: Resolution
    output: str
    scores: Scores

    def changes(self) -> list[str]:
        """Return one phrase for each change of `with_plain_ends`."""
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
    """Return whether the graph's input is a picture of floating-point values."""
    return only_input(model, label).type.tensor_type.elem_type in FLOATS


def foreign_ends(
    model: onnx.ModelProto, label: str, *, classes: int | None = None, head: Head = None, threshold: float | None = None
) -> ForeignEnds:
    """Return the ends of a graph at one size with floating-point input.

    classes is the number of classes, None if not given; head selects an output by name or index; threshold is that of a
    single channel, by default a mask's own, and None without a mask. Raises OnnxError for a graph whose input is not a
    picture, and NetworkError if no output has class scores, or several could.
    """
    source = only_input(model, label)
    sides = tuple(side.dim_value for side in source.type.tensor_type.shape.dim)
    last = sides[3] == RGB and sides[1] != RGB
    if not last and sides[1] != RGB:
        expected = "1x3xHxW, or 1xHxWx3"
        raise OnnxError(f"the input {source.name} of {label} has no 3 channels", got=sides, expected=expected)
    resolution = Resolution(*(sides[1:3] if last else sides[2:4]))
    view = GraphView(model)
    found = {value.name: scores_of(view, value.name, classes, resolution) for value in model.graph.output}
    scored = {name: scores for name, scores in found.items() if scores is not None}
    words = {name: words_of(view, name) for name in found}
    shapes = {name: scored[name].shape if name in scored else () for name in found}
    if head is None:
        shapes = {name: shape for name, shape in shapes.items() if name not in beside(scored)}
    fits = any(stride_of(scores.shape, classes, resolution) is not None for scores in scored.values())
    chosen = head_of(shapes, classes if fits else None, resolution, head, label, words)
    scores = scored[chosen]
    if scores.shape[1] == 1:
        scores = replace(scores, threshold=scores.threshold if threshold is None else threshold)
    elif threshold is not None:
        raise OnnxError(
            f"{label} has a channel for each class, so it takes no threshold",
            got=f"--threshold {threshold:g}",
            hint="leave out --threshold",
        )
    return ForeignEnds(source.name, int(source.type.tensor_type.elem_type), last, resolution, chosen, scores)


def with_plain_ends(model: onnx.ModelProto, ends: ForeignEnds) -> None:
    """Change the graph, in place, so that its input and its scores, its only output, are float32 NCHW."""
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
    if scores.flat:
        shaped, sizes = fresh_name(f"{given}.map", taken), fresh_name(f"{given}.sizes", taken)
        graph.initializer.append(numpy_helper.from_array(np.array(scores.shape, np.int64), sizes))
        after.append(helper.make_node("Reshape", [given, sizes], [shaped]))
        given = shaped
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


def _cancel_transposes(model: onnx.ModelProto) -> None:
    """Bypass, in place, pairs of Transposes that undo each other."""
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
