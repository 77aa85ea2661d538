"""Make a max pool of the picture part of the kernel that reads the picture anyway."""

from __future__ import annotations

import onnx

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.sliced_pool import can_be_sliced, define_sliced
from rtseg.graphs.change import GraphChange


def picture_pools(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write MaxPools of the graph's input, of windows of up to 3x3, as the Max of strided Slices."""
    change = GraphChange(model)
    for reader in change.view.readers(change.view.input):
        if can_be_sliced(change.view, reader.node):
            define_sliced(change, reader.node, change.view.input)
    return change.result()


PICTURE_POOLS = GraphPass("picture-pools", picture_pools, carries_over=False)
