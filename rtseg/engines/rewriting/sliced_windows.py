"""Find convolutions over quarters that the graph itself makes: strided Slices, a maximum of them, Concat, Pad, Conv."""

from __future__ import annotations

import numpy as np
import onnx

from rtseg.engines.rewriting.quarter_windows import MAXIMUM, QUARTERS, QuarterWindow, convolution_constants
from rtseg.graphs.view import GraphView, attribute

Cut = dict[int, int]
"""Of rows, axis 2, and columns, axis 3: which of each two."""


def sliced_windows(view: GraphView, picture: str) -> list[QuarterWindow]:
    """Return the convolutions that read only the picture's quarters, in computing order."""
    found = (_window(view, node, picture) for node in view.nodes if node.op_type == "Conv")
    return [window for window in found if window is not None]


def _window(view: GraphView, node: onnx.NodeProto, picture: str) -> QuarterWindow | None:
    plain = all(step == 1 for name in ("strides", "dilations") for step in attribute(node, name, [1]))
    if not plain or attribute(node, "group", 1) != 1 or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return None
    if not all(view.is_constant(name) for name in node.input[1:] if name):
        return None
    source, padded = _without_pad(view, node.input[0])
    together = view.producer(source)
    if padded is None or together is None or together.op_type != "Concat" or attribute(together, "axis", 0) != 1:
        return None
    blocks = [_block(view, name, picture) for name in together.input]
    weights, bias = convolution_constants(view, node)
    channels = view.shape(picture)[1]
    made = np.zeros((len(weights), QUARTERS + 1, channels, *weights.shape[2:]))
    for place, block in enumerate(blocks):
        if block is None:
            return None
        made[:, block] += weights[:, place * channels : (place + 1) * channels]
    top, left, bottom, right = (own + more for own, more in zip(attribute(node, "pads", [0, 0, 0, 0]), padded))
    return QuarterWindow(node.output[0], made, (top, left, bottom, right), bias)


def _without_pad(view: GraphView, tensor: str) -> tuple[str, tuple[int, ...] | None]:
    """Return what a Pad with zeros reads, and its top, left, bottom and right; None for a Pad of another kind."""
    node = view.producer(tensor)
    if node is None or node.op_type != "Pad":
        return tensor, (0, 0, 0, 0)
    constants = [name for name in node.input[1:] if name]
    if attribute(node, "mode", b"constant") != b"constant" or not all(view.is_constant(name) for name in constants):
        return tensor, None
    if len(node.input) > 3 or (len(constants) > 1 and view.constant(constants[1]).any()):
        return tensor, None
    pads = [int(pad) for pad in view.constant(constants[0])]
    if len(pads) != 8 or pads[0] or pads[1] or pads[4] or min(pads) < 0:
        return tensor, None
    return node.input[0], (pads[2], pads[3], pads[6], pads[7])


def _block(view: GraphView, tensor: str, picture: str) -> int | None:
    """Return the index of the quarter that the tensor is, or of the maximum of all; None for anything else."""
    quarters = _quarters(view, tensor, picture)
    if quarters == frozenset(range(QUARTERS)):
        return MAXIMUM
    return next(iter(quarters)) if len(quarters) == 1 else None


def _quarters(view: GraphView, tensor: str, picture: str) -> frozenset[int]:
    """Return the quarters whose maximum the tensor is; empty for any other tensor."""
    node = view.producer(tensor)
    if node is not None and node.op_type == "Max":
        parts = [_quarters(view, name, picture) for name in node.input]
        return frozenset().union(*parts) if all(parts) else frozenset()
    cut: Cut = {}
    while tensor != picture:
        node = view.producer(tensor)
        step = _step(view, node) if node is not None and node.op_type == "Slice" else None
        if node is None or step is None or set(step) & set(cut):
            return frozenset()
        cut.update(step)
        tensor = node.input[0]
    return frozenset([2 * cut[2] + cut[3]]) if set(cut) == {2, 3} else frozenset()


def _step(view: GraphView, node: onnx.NodeProto) -> Cut | None:
    """Return which of each two rows or columns a Slice takes, up to the last; None for any other Slice."""
    if len(node.input) != 5 or not all(view.is_constant(name) for name in node.input[1:]):
        return None
    starts, ends, axes, steps = ([int(value) for value in view.constant(name)] for name in node.input[1:])
    shape, cut = view.shape(node.input[0]), {}
    for start, end, axis, step in zip(starts, ends, axes, steps):
        if axis not in (2, 3) or step != 2 or start not in (0, 1) or end < shape[axis] or shape[axis] % 2:
            return None
        cut[axis] = start
    return cut
