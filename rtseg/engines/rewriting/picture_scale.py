"""The normalisation at the beginning of a graph: a factor and an offset for each channel of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from rtseg.graphs.view import GraphView, attribute

CHANNELS_FIRST = [0, 3, 1, 2]
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
Channels = NDArray[np.float64]


@dataclass(frozen=True)
class PictureScale:
    """tensor, NCHW, is the graph's input * factor + offset. has_bytes is True if the input is uint8 NHWC."""

    tensor: str
    factor: Channels
    offset: Channels
    has_bytes: bool


def picture_scale(view: GraphView) -> PictureScale | None:
    """Return the normalised picture; None if the graph has no uint8 NHWC input that is cast and transposed.

    A float NCHW input counts as normalised already: any operators before its first convolution are the user's.
    """
    shape, kind = view.shape(view.input), view.element_type(view.input)
    if len(shape) != 4:
        return None
    if kind in _FLOATS:
        return PictureScale(view.input, np.ones(shape[1]), np.zeros(shape[1]), has_bytes=False)
    if kind != TensorProto.UINT8:
        return None
    tensor, is_first, is_float = view.input, False, False
    factor, offset = np.ones(shape[3]), np.zeros(shape[3])
    while len(readers := view.readers(tensor)) == 1 and tensor != view.output:
        node = readers[0].node
        if node.op_type == "Transpose" and not is_first and attribute(node, "perm", []) == CHANNELS_FIRST:
            is_first = True
        elif node.op_type == "Cast" and attribute(node, "to", 0) in _FLOATS:
            is_float = True
        elif is_float and (step := _step(view, node, shape[3], is_first)) is not None:
            factor, offset = factor * step[0], offset * step[0] + step[1]
        else:
            break
        tensor = node.output[0]
    return PictureScale(tensor, factor, offset, has_bytes=True) if is_first and is_float else None


def _step(view: GraphView, node: onnx.NodeProto, channels: int, is_first: bool) -> tuple[Channels, Channels] | None:
    """Return the factor and offset of one operator with a constant for each channel; None for any other."""
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    constants = [place for place, name in enumerate(node.input) if view.is_constant(name)]
    if len(constants) != 1:
        return None
    value = view.constant(node.input[constants[0]]).astype(np.float64)
    sides = (1, channels, 1, 1) if is_first else (1, 1, 1, channels)
    if value.ndim > 4 or any(side not in (1, wide) for side, wide in zip(value.shape[::-1], sides[::-1])):
        return None
    each = np.broadcast_to(value.reshape(-1), channels)
    ones, zeros = np.ones(channels), np.zeros(channels)
    if node.op_type == "Add":
        return ones, each
    if node.op_type == "Mul":
        return each, zeros
    if node.op_type == "Sub":
        return (ones, -each) if constants[0] == 1 else (-ones, each)
    return (1 / each, zeros) if constants[0] == 1 and np.all(each != 0) else None
