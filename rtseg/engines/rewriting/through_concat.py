"""Move BatchNorm and ReLU after a Concat into its parts.

A Concat of convolutions costs nothing, because each writes directly into its part. With another kernel after it, the
whole Concat is read and written once more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import add_convolution, convolution_of
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.nonnegative import is_nonnegative
from rtseg.engines.rewriting.places import Affine, affine_of, identity, in_type_of, is_map, sole_reader, static_shape
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute


@dataclass(frozen=True)
class _Behind:
    """The only operators after a Concat: an affine for each channel, then perhaps a Relu or a Clip."""

    result: str
    affine: Affine
    activation: onnx.NodeProto | None


def through_concat(model: onnx.ModelProto) -> onnx.ModelProto:
    """Move BatchNorm, constants for each channel, ReLU and ReLU6 after a Concat of channels into its parts.

    Only if a part is a convolution without another reader, or a Concat of such; otherwise nothing is saved. A part that
    cannot be negative gets no ReLU.
    """
    change = GraphChange(model)
    for node in change.view.nodes:
        behind = _behind(change.view, node)
        if behind is None or not _has_own_convolution(change.view, node):
            continue
        change.define(behind.result, "Concat", _parts(change, node, behind.affine, behind.activation), axis=1)
    return change.result()


def _behind(view: GraphView, node: onnx.NodeProto) -> _Behind | None:
    if not _joins_channels(view, node):
        return None
    tensor = node.output[0]
    affine = identity(view.shape(tensor)[1])
    while (reader := sole_reader(view, tensor)) is not None:
        step = affine_of(view, reader, tensor)
        if step is None or static_shape(view, reader.output[0]) != static_shape(view, tensor):
            break
        affine, tensor = affine.then(step), reader.output[0]
    activation = reader if _is_activation(view, reader) else None
    if activation is not None:
        tensor = activation.output[0]
    return None if tensor == node.output[0] or not np.isfinite(affine).all() else _Behind(tensor, affine, activation)


def _joins_channels(view: GraphView, node: onnx.NodeProto) -> bool:
    joins = node.op_type == "Concat" and is_map(view, node.output[0]) and attribute(node, "axis", 0) in (1, -3)
    return joins and all(is_map(view, name) for name in node.input)


def _is_activation(view: GraphView, node: onnx.NodeProto | None) -> bool:
    """Return whether a node is a Relu, or a Clip from zero on, such as ReLU6."""
    if node is None or node.op_type == "Relu":
        return node is not None
    bounds = node.input[1:]
    from_zero = len(bounds) == 2 and all(view.is_constant(name) for name in bounds)
    return node.op_type == "Clip" and from_zero and float(view.constant(bounds[0])) == 0


def _has_own_convolution(view: GraphView, node: onnx.NodeProto) -> bool:
    makers = [view.producer(name) for name in node.input if sole_reader(view, name) is not None]
    return any(
        convolution_of(view, maker) is not None or (_joins_channels(view, maker) and _has_own_convolution(view, maker))
        for maker in makers
        if maker is not None
    )


def _parts(change: GraphChange, node: onnx.NodeProto, affine: Affine, activation: onnx.NodeProto | None) -> list[str]:
    """Return the tensors that the Concat must join so that its result includes affine and activation."""
    parts, first = [], 0
    for name in node.input:
        channels = slice(first, first + change.view.shape(name)[1])
        first = channels.stop
        maker = change.view.producer(name) if sole_reader(change.view, name) is not None else None
        if maker is not None and _joins_channels(change.view, maker):
            parts += _parts(change, maker, affine.of(channels), activation)
        else:
            parts.append(_part(change, name, maker, affine.of(channels), activation))
    return parts


def _part(
    change: GraphChange, name: str, own: onnx.NodeProto | None, affine: Affine, activation: onnx.NodeProto | None
) -> str:
    view, tensor = change.view, name
    convolution = convolution_of(view, own)
    if own is not None and convolution is not None:
        if not affine.is_identity:
            tensor = add_convolution(change, own.input[0], name, convolution.scaled(affine), f"{name}_scaled")
    else:
        for kind, values, neutral in (("Mul", affine.scale, 1), ("Add", affine.shift, 0)):
            if (values != neutral).any():
                constant = in_type_of(view, name, values[None, :, None, None])
                tensor = change.add(kind, [tensor, change.constant(f"{name}_{kind}", constant)], f"{name}_scaled")
    if activation is None:
        return tensor
    if activation.op_type == "Relu" and affine.keeps_sign and is_nonnegative(view, name):
        return tensor
    return change.add(activation.op_type, [tensor, *activation.input[1:]], f"{name}_{activation.op_type.lower()}")


THROUGH_CONCAT = GraphPass("through-concat", through_concat, carries_over=True)
