"""The precision of each convolution and matrix product of a typed graph, by names that the compiler's log repeats."""

from __future__ import annotations

from collections import Counter

import onnx

from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, node_name
from rtseg.quantization.census import WEIGHTED, precision_of_node

LONGEST_NAME = 300
ODD_LETTERS = frozenset("[]{},")


def with_named_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with a unique name for each convolution and matrix product; unchanged if they have one."""
    names = Counter(node.name for node in model.graph.node)
    if all(node.name and names[node.name] == 1 for node in model.graph.node if node.op_type in WEIGHTED):
        return model
    named = onnx.ModelProto()
    named.CopyFrom(model)
    taken = names_in(model)
    for node in named.graph.node:
        if node.op_type in WEIGHTED and (not node.name or names[node.name] > 1):
            node.name = fresh_name(f"{node_name(node)}_product", taken)
    return named


def with_plain_names(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Return the graph without names that the compiler's log cannot hold, and the number of names replaced.

    The log separates names by commas, brackets and line ends, and cuts long ones. The graph's input and output keep
    their names; a graph without such names is returned unchanged.
    """
    graph = model.graph
    ends = {entry.name for part in (graph.input, graph.output) for entry in part}
    tensors = {name for node in graph.node for name in (*node.input, *node.output)} - ends
    odd_tensors = {name: f"tensor.{index}" for index, name in enumerate(sorted(filter(_is_odd, tensors)))}
    odd_nodes = [index for index, node in enumerate(graph.node) if _is_odd(node.name)]
    if not odd_tensors and not odd_nodes:
        return model, 0
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    taken = names_in(model)
    renamed = {name: fresh_name(made, taken) for name, made in odd_tensors.items()}
    for node in plain.graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    for entry in (*plain.graph.initializer, *plain.graph.value_info):
        entry.name = renamed.get(entry.name, entry.name)
    for index in odd_nodes:
        plain.graph.node[index].name = fresh_name(f"{plain.graph.node[index].op_type}.{index}", taken)
    return plain, len(odd_tensors) + len(odd_nodes)


def _is_odd(name: str) -> bool:
    return len(name) > LONGEST_NAME or not name.isprintable() or not ODD_LETTERS.isdisjoint(name)


def product_precisions(model: onnx.ModelProto) -> dict[str, str]:
    """Return int8, fp16 or fp32 for each convolution and matrix product by name, in graph order.

    Products that the compiler need not compute are left out: those that depend on no graph input, or whose output is
    unused.
    """
    view = GraphView(model)
    varying, wanted = {view.input}, {view.output}
    for node in view.nodes:
        if varying.intersection(node.input):
            varying.update(node.output)
    for node in reversed(view.nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
    return {
        node_name(node): precision_of_node(view, node)
        for node in view.nodes
        if node.op_type in WEIGHTED and varying.intersection(node.output) and wanted.intersection(node.output)
    }
