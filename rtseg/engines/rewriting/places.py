"""Questions of the passes about a graph: the only reader of a tensor, the scale of its channels, the terms of a sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

Vector = NDArray[np.float64]

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def sole_reader(view: GraphView, tensor: str) -> onnx.NodeProto | None:
    """Return the only node that reads the tensor, if it reads it once; None if the tensor is the graph's output."""
    readers = view.readers(tensor)
    return readers[0].node if len(readers) == 1 and tensor != view.output else None


def static_shape(view: GraphView, tensor: str) -> tuple[int, ...]:
    """Return the shape of a tensor; empty if it is unknown."""
    try:
        shape = view.shape(tensor)
    except KeyError:
        return ()
    return shape if all(side > 0 for side in shape) else ()


def is_map(view: GraphView, tensor: str) -> bool:
    """Return whether the tensor is of float32 or float16, with a static shape of (batch, channels, height, width)."""
    return len(static_shape(view, tensor)) == 4 and view.element_type(tensor) in FLOATS


def window_fits(view: GraphView, pool: onnx.NodeProto) -> bool:
    """Return whether a pool's window is no larger than the padded map.

    ONNX Runtime and ONNX's shape inference give a pool whose window is one row too high for stride 2 a result all the
    same, which nothing that a pass would write in its place has.
    """
    window, pads = attribute(pool, "kernel_shape", []), attribute(pool, "pads", [0, 0, 0, 0])
    sides = static_shape(view, pool.input[0])[2:]
    return all(size + first + last >= taps for size, first, last, taps in zip(sides, pads, pads[len(sides) :], window))


def in_type_of(view: GraphView, tensor: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return the values in the type of a tensor, which is float32 or float16."""
    return values.astype(onnx.helper.tensor_dtype_to_np_dtype(view.element_type(tensor)))


class Affine(NamedTuple):
    """x * scale + shift, both one number for each channel of a map."""

    scale: Vector
    shift: Vector

    def then(self, other: Affine) -> Affine:
        """Return this affine followed by the other, as one."""
        return Affine(self.scale * other.scale, self.shift * other.scale + other.shift)

    def of(self, channels: slice) -> Affine:
        """Return the affine of some of the channels."""
        return Affine(self.scale[channels], self.shift[channels])

    @property
    def is_identity(self) -> bool:
        """Whether it changes no value."""
        return bool((self.scale == 1).all() and (self.shift == 0).all())

    @property
    def keeps_sign(self) -> bool:
        """Whether values that are not negative stay so."""
        return bool((self.scale >= 0).all() and (self.shift >= 0).all())


def identity(channels: int) -> Affine:
    """Return the affine that changes no channel."""
    return Affine(np.ones(channels), np.zeros(channels))


def affine_of(view: GraphView, node: onnx.NodeProto, tensor: str) -> Affine | None:
    """Return the affine that a node applies to each channel of its input map; None for any other node.

    BatchNormalization with constants as ONNX states it for inference; Mul, Add, Sub and Div with a constant for each
    channel, or one for all.
    """
    channels = view.shape(tensor)[1]
    if node.op_type == "BatchNormalization":
        if len(node.output) != 1 or not all(view.is_constant(name) for name in node.input[1:]):
            return None
        scale, bias, mean, variance = (view.constant(name).astype(np.float64) for name in node.input[1:])
        factor = scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
        return Affine(factor, bias - mean * factor)
    if node.op_type not in ("Mul", "Add", "Sub", "Div") or len(node.input) != 2:
        return None
    place = list(node.input).index(tensor)
    if (place and node.op_type in ("Sub", "Div")) or not view.is_constant(node.input[1 - place]):
        return None
    value = _by_channel(view.constant(node.input[1 - place]), channels)
    if value is None:
        return None
    ones, zeros = np.ones(channels), np.zeros(channels)
    return {
        "Mul": Affine(value, zeros),
        "Div": Affine(ones / np.where(value == 0, np.nan, value), zeros),
        "Add": Affine(ones, value),
        "Sub": Affine(ones, -value),
    }[node.op_type]


def _by_channel(value: NDArray[Any], channels: int) -> Vector | None:
    """Return one number for each channel; None if the constant differs within a channel."""
    if value.size == 1 and value.ndim <= 4:
        return np.full(channels, float(value.reshape(())))
    if value.shape not in ((channels, 1, 1), (1, channels, 1, 1)):
        return None
    return value.reshape(channels).astype(np.float64)


def terms_of(view: GraphView, node: onnx.NodeProto) -> list[str]:
    """Return the tensors of one shape that a tree of Adds sums up; an inner Add with other readers is itself a term."""
    shape = static_shape(view, node.output[0])
    terms: list[str] = []
    waiting = list(reversed(node.input))
    while waiting:
        tensor = waiting.pop()
        maker = view.producer(tensor)
        inside = maker is not None and maker.op_type == "Add" and sole_reader(view, tensor) is not None
        if maker is not None and inside and static_shape(view, tensor) == shape:
            waiting += list(reversed(maker.input))
        else:
            terms.append(tensor)
    return terms


def sums(view: GraphView) -> list[onnx.NodeProto]:
    """Return every Add of maps that is not part of another sum: the roots of the trees of terms_of."""
    roots = []
    for node in view.nodes:
        if node.op_type != "Add" or not is_map(view, node.output[0]):
            continue
        reader = sole_reader(view, node.output[0])
        shape = static_shape(view, node.output[0])
        if reader is None or reader.op_type != "Add" or static_shape(view, reader.output[0]) != shape:
            roots.append(node)
    return roots


def define_sum(change: GraphChange, result: str, terms: Sequence[str]) -> None:
    """Compute a tensor that the graph already has as the sum of two or more, added from the first on."""
    total = terms[0]
    for term in terms[1:-1]:
        total = change.add("Add", [total, term], f"{result}_sum")
    change.define(result, "Add", [total, terms[-1]])
