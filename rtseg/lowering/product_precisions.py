"""The precision that a typed graph has each convolution and matrix product in, by a name that the compiler repeats."""

from __future__ import annotations

from collections import Counter

import onnx

from rtseg.graphs.view import GraphView, node_name
from rtseg.quantize.census import WEIGHTED, precision_of_node


def with_named_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with a name of its own for each convolution and matrix product; itself where that is so."""
    names = Counter(node.name for node in model.graph.node)
    if all(node.name and names[node.name] == 1 for node in model.graph.node if node.op_type in WEIGHTED):
        return model
    named = onnx.ModelProto()
    named.CopyFrom(model)
    taken = set(names)
    for node in named.graph.node:
        if node.op_type in WEIGHTED and (not node.name or names[node.name] > 1):
            wanted = node_name(node)
            node.name = next(
                name
                for number in range(len(taken) + 2)
                if (name := f"{wanted}.{number}" if number else wanted) not in taken
            )
            taken.add(node.name)
    return named


def product_precisions(model: onnx.ModelProto) -> dict[str, str]:
    """Return int8, fp16 or fp32 by the name of each convolution and matrix product, in the order of the graph."""
    view = GraphView(model)
    return {
        node_name(node): precision_of_node(view, node)
        for node in view.nodes
        if node.op_type in WEIGHTED and not all(map(view.is_constant, filter(None, node.input)))
    }
