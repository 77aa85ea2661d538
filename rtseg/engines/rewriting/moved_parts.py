"""Keep a Resize or Slice from fusing with the Concat that reads it: that kernel would copy all other parts."""

from __future__ import annotations

import onnx

from rtseg.engines.rewriting.convolution import CHANNELS_TOGETHER, convolution_of
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.nonnegative import neutral, settled
from rtseg.engines.rewriting.places import is_map
from rtseg.engines.rewriting.sliced_pool import can_be_sliced, define_sliced
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

MOVING = frozenset({"Resize", "Slice", "Pad", "Expand", "Gather", "Tile"})
"""Operators that only move values. The compiler fuses them with a Concat into one kernel that copies all parts."""


def moved_parts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Add arithmetic that changes no value after each Resize, Slice or similar that feeds a Concat of channels.

    A kernel that computes writes directly into its part of the Concat, and the other parts are not copied. A MaxPool
    cannot read from within the Concat, so its input would be copied all the same: a MaxPool that reads such a part, or
    that feeds the Concat, becomes a Max of strided Slices. Nothing is done where nothing would be saved: if all parts
    are moved, if a part's channels are not a multiple of CHANNELS_TOGETHER, or if a convolution that is compiled as a
    matrix product reads the Concat, because then all of it is copied.
    """
    change = GraphChange(model)
    view = change.view
    for node in view.nodes:
        if not _joins_whole_channels(view, node):
            continue
        parts = list(dict.fromkeys(node.input))
        moved = [name for name in parts if _is_moved(view, name)]
        pooled = [pool for name in parts if (pool := view.producer(name)) is not None and can_be_sliced(view, pool)]
        others = [name for name in parts if name not in moved]
        if len(others) <= len(pooled) or not (moved or pooled) or _goes_into_product(view, node.output[0]):
            continue
        for pool in pooled:
            define_sliced(change, pool, pool.input[0])
        for name in moved:
            _settle(change, name)
        for name in others if moved else ():
            for pool in [reader.node for reader in view.readers(name) if can_be_sliced(view, reader.node)]:
                define_sliced(change, pool, settled(change, name))
    return change.result()


def _joins_whole_channels(view: GraphView, node: onnx.NodeProto) -> bool:
    """Return whether a node is a Concat of channels in which every part can begin where the one before it ends."""
    if node.op_type != "Concat" or not is_map(view, node.output[0]) or attribute(node, "axis", 0) not in (1, -3):
        return False
    return all(is_map(view, name) and view.shape(name)[1] % CHANNELS_TOGETHER == 0 for name in node.input)


def _is_moved(view: GraphView, tensor: str) -> bool:
    maker = view.producer(tensor)
    return maker is not None and maker.op_type in MOVING and is_map(view, tensor)


def _settle(change: GraphChange, tensor: str) -> None:
    """Let the arithmetic compute a moved tensor for all its readers; then it is the only reader of its own input."""
    maker = change.view.producer(tensor)
    if maker is None or change.is_defined(tensor):
        return
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in maker.attribute}
    moved = change.add(maker.op_type, maker.input, f"{tensor}_moved", **attributes)
    kind, *constants = neutral(change, tensor)
    change.define(tensor, kind, [moved, *constants])


def _goes_into_product(view: GraphView, tensor: str) -> bool:
    convolutions = [convolution_of(view, reader.node) for reader in view.readers(tensor)]
    return any(found is not None and found.is_product for found in convolutions)


MOVED_PARTS = GraphPass("moved-parts", moved_parts, carries_over=False)
