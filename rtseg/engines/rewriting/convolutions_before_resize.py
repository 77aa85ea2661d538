"""Compute a 1x1 convolution before the Resize that enlarges its input: fewer pixels, and fewer channels to enlarge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import Convolution, add_convolution, convolution_of
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import define_sum, sole_reader
from rtseg.engines.rewriting.resize import MapResize, resize_attributes, resize_inputs, resize_of
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute


def convolutions_before_resize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write conv(resize(x)) as resize(conv(x)), and conv(concat(a, resize(b))) as conv(a) + resize(conv(b)).

    For 1x1 convolutions with stride 1, and linear or nearest Resizes that enlarge and have no other reader. The weights
    of such a Resize add up to one, so the bias stays with the convolution. After a Concat only if fewer channels come
    out than were enlarged, or as many at the end of the graph, where the kernel of the Resize also computes the sum.
    """
    change = GraphChange(model)
    for node in change.view.nodes:
        convolution = convolution_of(change.view, node)
        if convolution is None or not convolution.is_pointwise or convolution.strides != (1, 1):
            continue
        joined = change.view.producer(node.input[0])
        resize = _own_resize(change.view, node.input[0])
        if joined is None:
            continue
        if resize is not None and convolution.weight.shape[0] <= convolution.weight.shape[1]:
            small = add_convolution(change, resize.source, node.output[0], convolution, f"{node.output[0]}_small")
            inputs = resize_inputs(change, joined, small, convolution.weight.shape[0])
            change.define(node.output[0], "Resize", inputs, **resize_attributes(joined))
        elif joined.op_type == "Concat" and attribute(joined, "axis", 0) in (1, -3):
            _part_by_part(change, node, convolution, joined)
    return change.result()


def _own_resize(view: GraphView, tensor: str) -> MapResize | None:
    """Return the Resize that computes the tensor, if it enlarges and has only one reader; else None."""
    resize = resize_of(view, view.producer(tensor))
    return resize if resize is not None and resize.enlarges and sole_reader(view, tensor) is not None else None


def _part_by_part(change: GraphChange, node: onnx.NodeProto, whole: Convolution, joined: onnx.NodeProto) -> None:
    view, result = change.view, node.output[0]
    if sole_reader(view, joined.output[0]) is None:
        return
    enlarged = {name: resize for name in joined.input if (resize := _own_resize(view, name)) is not None}
    fewer = sum(view.shape(name)[1] for name in enlarged) - whole.weight.shape[0]
    if not enlarged or fewer < 0 or (fewer == 0 and result != view.output):
        return
    others: list[str] = []
    pieces: dict[str, np.ndarray] = {}
    rest: list[np.ndarray] = []
    first = 0
    for name in joined.input:
        piece = whole.weight[:, first : first + view.shape(name)[1]]
        first += piece.shape[1]
        if name in enlarged:
            pieces[name] = piece
        else:
            others.append(name)
            rest.append(piece)
    terms = []
    if others:
        source = others[0] if len(others) == 1 else change.add("Concat", others, f"{result}_joined", axis=1)
        large = replace(whole, weight=np.concatenate(rest, axis=1))
        terms.append(add_convolution(change, source, result, large, f"{result}_large"))
    for place, (name, resize) in enumerate(enlarged.items()):
        has_bias = not others and not place
        part = replace(whole, weight=pieces[name], bias=whole.bias if has_bias else np.zeros_like(whole.bias))
        small = add_convolution(change, resize.source, result, part, f"{result}_small")
        maker = view.producer(name)
        assert maker is not None  # resize_of read it
        inputs = resize_inputs(change, maker, small, whole.weight.shape[0])
        terms.append(change.add("Resize", inputs, f"{result}_enlarged", **resize_attributes(maker)))
    define_sum(change, result, terms)


CONVOLUTIONS_BEFORE_RESIZE = GraphPass("convolutions-before-resize", convolutions_before_resize, carries_over=True)
