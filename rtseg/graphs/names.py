"""Names in a graph: which are in use, and new ones."""

from __future__ import annotations

import itertools

import onnx


def names_in(model: onnx.ModelProto) -> set[str]:
    """Return every name of a node or a tensor in the graph."""
    graph = model.graph
    names = {name for node in graph.node for name in (node.name, *node.input, *node.output)}
    names |= {entry.name for part in (graph.initializer, graph.input, graph.output, graph.value_info) for entry in part}
    return names


def fresh_name(wanted: str, taken: set[str]) -> str:
    """Return the wanted name, or a similar one if it is in use, and add it to taken."""
    numbered = (f"{wanted}.{number}" for number in itertools.count(1))
    name = next(name for name in itertools.chain([wanted], numbered) if name not in taken)
    taken.add(name)
    return name


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the graph's inputs without its constants, which IR 3 lists among them."""
    constants = {entry.name for entry in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]
