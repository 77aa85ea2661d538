"""Windows of stride 2 over a picture, as windows of stride 1 over its four quarters.

Quarter (y, x) of a picture is its pixels (2 i + y, 2 j + x). They stand in the order 00, 01, 10, 11.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from rtseg.engines.rewriting.places import window_fits
from rtseg.graphs.view import GraphView, attribute

Weights = NDArray[np.float64]
QUARTERS, MAXIMUM = 4, 4
"""How many there are, and the place behind them of the maximum of all four."""


@dataclass(frozen=True)
class QuarterWindow:
    """A tensor of the graph as weighted sums of the quarters, in windows of stride 1.

    weights is (outputs, 5, channels, height, width); its second axis is the four quarters and their maximum. pads is
    top, left, bottom, right; the picture is zero there.
    """

    result: str
    weights: Weights
    pads: tuple[int, int, int, int]
    bias: Weights

    @property
    def uses_maximum(self) -> bool:
        """Whether the maximum of the quarters has a weight that is not zero."""
        return bool(self.weights[:, MAXIMUM].any())

    def over_channels(self, factor: Weights, offset: Weights, *, maximum: bool) -> Weights:
        """Return the weights (outputs, channels, height, width) over the quarters, concatenated as channels.

        The picture is those channels * factor + offset. Behind the quarters is their maximum where that is asked for,
        and one channel of ones: the padding sets it to zero, and so the offset.
        """
        blocks = self.weights[:, : QUARTERS + 1 if maximum else QUARTERS]
        outputs, number, channels, *sides = blocks.shape
        ones = np.einsum("obchw,c->ohw", blocks, offset)
        scaled = (blocks * factor[:, None, None]).reshape(outputs, number * channels, *sides)
        return np.concatenate([scaled, ones[:, None]], axis=1)


def window_of(view: GraphView, node: onnx.NodeProto) -> QuarterWindow | None:
    """Return a Conv or AveragePool of stride 2 as a window; None for another operator, stride or kind of padding."""
    if not _has_stride_2(node):
        return None
    bias = None
    if node.op_type == "Conv":
        if attribute(node, "group", 1) != 1 or not all(view.is_constant(name) for name in node.input[1:] if name):
            return None
        weights, bias = convolution_constants(view, node)
    elif node.op_type == "AveragePool" and not attribute(node, "ceil_mode", 0) and window_fits(view, node):
        sides, channels = attribute(node, "kernel_shape", []), view.shape(node.input[0])[1]
        if any(attribute(node, "pads", [0])) and not attribute(node, "count_include_pad", 0):
            return None
        weights = np.zeros((channels, channels, *sides))
        weights[range(channels), range(channels)] = 1 / math.prod(sides)
        bias = np.zeros(channels)
    else:
        return None
    pads = tuple(attribute(node, "pads", [0, 0, 0, 0]))
    return _over_quarters(node.output[0], weights, bias, pads) if weights.ndim == 4 else None


def convolution_constants(view: GraphView, node: onnx.NodeProto) -> tuple[Weights, Weights]:
    """Return weights and bias of a Conv with constants; zeros if it has no bias."""
    weights = view.constant(node.input[1]).astype(np.float64)
    has_bias = len(node.input) > 2 and node.input[2]
    return weights, view.constant(node.input[2]).astype(np.float64) if has_bias else np.zeros(len(weights))


def is_maximum(node: onnx.NodeProto) -> bool:
    """Return whether the node is a 2x2 maximum of stride 2."""
    return (
        node.op_type == "MaxPool"
        and len(node.output) == 1
        and list(attribute(node, "kernel_shape", [])) == [2, 2]
        and not any(attribute(node, "pads", [0]))
        and not attribute(node, "ceil_mode", 0)
        and _has_stride_2(node)
    )


def joined(result: str, parts: list[QuarterWindow | None], channels: int) -> QuarterWindow | None:
    """Return a concatenation as one window, of a part that is one and others, None, the maximum; None for any other."""
    windows = [part for part in parts if part is not None]
    if len(windows) != 1:
        return None
    window = windows[0]
    *before, height, width = window.weights.shape[1:]
    handed = np.zeros((channels, *before, height, width))
    handed[range(channels), MAXIMUM, range(channels), window.pads[0], window.pads[1]] = 1
    return replace(
        window,
        result=result,
        weights=np.concatenate([handed if part is None else part.weights for part in parts]),
        bias=np.concatenate([np.zeros(channels) if part is None else part.bias for part in parts]),
    )


def _over_quarters(
    result: str, weights: Weights, bias: Weights, pads: tuple[int, int, int, int]
) -> QuarterWindow | None:
    """Return the window of stride 1; None if a pad would be negative because no window reads the last pixels."""
    outputs, channels, *sides = weights.shape
    before, after = pads[:2], pads[2:]
    first = [math.floor(-pad / 2) for pad in before]
    last = [math.floor((side - 1 - pad) / 2) for side, pad in zip(sides, before)]
    behind = [
        math.floor((top + bottom - side) / 2) + 1 + end for side, top, bottom, end in zip(sides, before, after, last)
    ]
    if min(behind) < 0:
        return None
    made = np.zeros((outputs, QUARTERS + 1, channels, *(end - start + 1 for start, end in zip(first, last))))
    for row, column in itertools.product(*map(range, sides)):
        (down, y), (right, x) = (divmod(tap - pad, 2) for tap, pad in zip((row, column), before))
        made[:, 2 * y + x, :, down - first[0], right - first[1]] = weights[:, :, row, column]
    return QuarterWindow(result, made, (-first[0], -first[1], behind[0], behind[1]), bias)


def _has_stride_2(node: onnx.NodeProto) -> bool:
    return (
        list(attribute(node, "strides", [])) == [2, 2]
        and all(step == 1 for step in attribute(node, "dilations", [1]))
        and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
    )
