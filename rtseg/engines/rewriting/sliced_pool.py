"""Write a max pool as the maximum of strided Slices: it fuses with other operators, and reads from within a Concat."""

from __future__ import annotations

import itertools

import numpy as np
import onnx

from rtseg.engines.rewriting.places import is_map, window_fits
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

MOST_SLICES = 9


def can_be_sliced(view: GraphView, node: onnx.NodeProto) -> bool:
    """Return whether a node is a MaxPool of maps with a window of up to MOST_SLICES pixels, without dilation."""
    if node.op_type != "MaxPool" or len(node.output) != 1 or not is_map(view, node.output[0]):
        return False
    window = attribute(node, "kernel_shape", [])
    return (
        len(window) == 2
        and window[0] * window[1] <= MOST_SLICES
        and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
        and not attribute(node, "ceil_mode", 0)
        and set(attribute(node, "dilations", [1])) == {1}
        and window_fits(view, node)
    )


def define_sliced(change: GraphChange, node: onnx.NodeProto, source: str) -> None:
    """Compute the result of a MaxPool as the Max of one strided Slice of source for each position of its window.

    Padding repeats the edge, which is in the same window, so that the maximum does not change.
    """
    result, pads = node.output[0], attribute(node, "pads", [0, 0, 0, 0])
    if any(pads):
        sides = change.constant(f"{result}_pads", np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64))
        source = change.add("Pad", [source, sides], f"{result}_padded", mode="edge")
    strides = attribute(node, "strides", [1, 1])
    sizes = change.view.shape(result)[2:]
    axes = change.constant(f"{result}_axes", np.array([2, 3], np.int64))
    steps = change.constant(f"{result}_steps", np.array(strides, np.int64))
    slices = []
    for first in itertools.product(*map(range, attribute(node, "kernel_shape", []))):
        ends = [start + (size - 1) * step + 1 for start, size, step in zip(first, sizes, strides)]
        starts = change.constant(f"{result}_starts", np.array(first, np.int64))
        stops = change.constant(f"{result}_stops", np.array(ends, np.int64))
        slices.append(change.add("Slice", [source, starts, stops, axes, steps], f"{result}_taken"))
    change.define(result, "Max", slices)
