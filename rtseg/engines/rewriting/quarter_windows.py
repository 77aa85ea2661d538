"""Windows of stride 2 over a picture, and the same windows over its four quarters as channels.

Quarter (y, x) of a picture is its pixels (2 i + y, 2 j + x). As channels they stand in the order 00, 01, 10, 11.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from rtseg.graphs.view import GraphView, attribute

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """What a tensor of the graph is of the picture: sums of products, of stride 2, and of the maximum of each 2x2.

    weights is (outputs, channels, height, width), pads before and behind are those of rows and columns, maxima
    (outputs, channels). The picture is zero around its edges.
    """

    result: str
    weights: Weights
    before: tuple[int, int]
    behind: tuple[int, int]
    bias: Weights
    maxima: Weights


def window_of(view: GraphView, node: onnx.NodeProto) -> Window | None:
    """Return a Conv or AveragePool as a window; None for another operator, stride or kind of padding."""
    if node.op_type == "Conv":
        if attribute(node, "group", 1) != 1 or not all(view.is_constant(name) for name in node.input[1:] if name):
            return None
        weights = view.constant(node.input[1]).astype(np.float64)
        bias = view.constant(node.input[2]).astype(np.float64) if len(node.input) > 2 and node.input[2] else None
    elif node.op_type == "AveragePool" and not attribute(node, "ceil_mode", 0):
        sides = attribute(node, "kernel_shape", [])
        if any(attribute(node, "pads", [0])) and not attribute(node, "count_include_pad", 0):
            return None
        channels = view.shape(node.input[0])[1]
        weights, bias = np.zeros((channels, channels, *sides)), None
        weights[range(channels), range(channels)] = 1 / math.prod(sides)
    else:
        return None
    if weights.ndim != 4 or not _has_stride_2(node):
        return None
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    outputs, channels = weights.shape[:2]
    filled = np.zeros(outputs) if bias is None else bias
    return Window(node.output[0], weights, (top, left), (bottom, right), filled, maxima=np.zeros((outputs, channels)))


def is_maximum(node: onnx.NodeProto) -> bool:
    """Return whether the node gives the maximum of each 2x2, of stride 2."""
    return (
        node.op_type == "MaxPool"
        and len(node.output) == 1
        and list(attribute(node, "kernel_shape", [])) == [2, 2]
        and not any(attribute(node, "pads", [0]))
        and not attribute(node, "ceil_mode", 0)
        and _has_stride_2(node)
    )


def joined(result: str, parts: list[Window | None], channels: int) -> Window | None:
    """Return a concatenation as one window, of a part that is one and others, None, the maximum; None for any other."""
    windows = [part for part in parts if part is not None]
    if len(windows) != 1:
        return None
    window = windows[0]
    outputs = [channels if part is None else len(part.weights) for part in parts]
    weights = np.zeros((sum(outputs), *window.weights.shape[1:]))
    bias, maxima = np.zeros(sum(outputs)), np.zeros((sum(outputs), channels))
    for part, end in zip(parts, np.cumsum(outputs)):
        if part is None:
            maxima[end - channels : end] = np.eye(channels)
        else:
            weights[end - len(part.weights) : end] = part.weights
            bias[end - len(part.weights) : end] = part.bias
    return replace(window, result=result, weights=weights, bias=bias, maxima=maxima)


def over_quarters(
    window: Window, factor: Weights, offset: Weights, *, maxima: bool
) -> tuple[Weights, list[int]] | None:
    """Return weights and pads, of stride 1, over quarters of which the picture is quarters * factor + offset.

    Their channels are those of the four quarters, then those of the maximum of all four where that is asked for, and
    one of ones: where the padding sets it to zero, the offset is too. None where a pad would be negative: the last
    pixels are read by no window.
    """
    outputs, channels, *sides = window.weights.shape
    first = [math.floor(-before / 2) for before in window.before]
    last = [math.floor((side - 1 - before) / 2) for side, before in zip(sides, window.before)]
    behind = [
        math.floor((before + after - side) / 2) + 1 + end
        for side, before, after, end in zip(sides, window.before, window.behind, last)
    ]
    if min(behind) < 0:
        return None
    ones = channels * (5 if maxima else 4)
    made = np.zeros((outputs, ones + 1, last[0] - first[0] + 1, last[1] - first[1] + 1))
    for row, column in itertools.product(*map(range, sides)):
        (down, y), (right, x) = (divmod(tap - pad, 2) for tap, pad in zip((row, column), window.before))
        taps, quarter = window.weights[:, :, row, column], channels * (2 * y + x)
        made[:, quarter : quarter + channels, down - first[0], right - first[1]] += taps * factor
        made[:, ones, down - first[0], right - first[1]] += taps @ offset
    if maxima:
        made[:, 4 * channels : ones, -first[0], -first[1]] += window.maxima * factor
        made[:, ones, -first[0], -first[1]] += window.maxima @ offset
    return made, [-first[0], -first[1], *behind]


def _has_stride_2(node: onnx.NodeProto) -> bool:
    return (
        list(attribute(node, "strides", [])) == [2, 2]
        and all(step == 1 for step in attribute(node, "dilations", [1]))
        and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
    )
