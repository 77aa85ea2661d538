"""Simplify a traced graph without changing what it computes.

PyTorch's exporter folds batch normalisation into convolutions, but not into transposed ones, and adds an Identity for a
tensor that two nodes share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from rtseg.graphs.names import fresh_name, names_in

Values = NDArray[np.float32]


def without_identities(model: onnx.ModelProto) -> None:
    """Bypass every Identity, in place; one that writes the graph's output stays."""
    graph = model.graph
    outputs = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in outputs:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    keep_nodes(model, kept)


def fold_batch_norms(model: onnx.ModelProto) -> None:
    """Fold each BatchNormalization into the Conv or ConvTranspose whose only reader it is, in place.

    y = (x - mean) * a + beta with a = gamma / sqrt(variance + epsilon), so the kernel of every output
    channel is multiplied by a, and the bias becomes (bias - mean) * a + beta.
    """
    graph = model.graph
    constants = {entry.name: entry for entry in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, int] = {value.name: 1 for value in graph.output}
    for node in graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    folded_away: set[str] = set()
    taken = names_in(model)
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        convolution = producers.get(norm.input[0])
        if convolution is None or convolution.op_type not in ("Conv", "ConvTranspose") or readers[norm.input[0]] > 1:
            continue
        if not all(name in constants for name in [*convolution.input[1:], *norm.input[1:]]):
            continue
        arrays = [numpy_helper.to_array(constants[name]) for name in [*convolution.input[1:], *norm.input[1:]]]
        weight, bias = arrays[0], arrays[1] if len(convolution.input) > 2 else None
        epsilon = next((entry.f for entry in norm.attribute if entry.name == "epsilon"), 1e-5)
        folded = _folded(convolution, weight, bias, arrays[-4:], epsilon)
        names = [fresh_name(f"{norm.output[0]}_{part}", taken) for part in ("weight", "bias")]
        graph.initializer.extend(numpy_helper.from_array(v, name) for v, name in zip(folded, names))
        del convolution.input[1:]
        convolution.input.extend(names)
        convolution.output[0] = norm.output[0]
        folded_away.add(norm.output[0])
    kept = [n for n in graph.node if n.op_type != "BatchNormalization" or n.output[0] not in folded_away]
    keep_nodes(model, kept)


def _folded(
    convolution: onnx.NodeProto, weight: Values, bias: Values | None, norm: list[Values], epsilon: float
) -> tuple[Values, Values]:
    """Return kernel and bias of one convolution that equals convolution and normalisation in sequence."""
    gamma, beta, mean, variance = (values.astype(np.float64) for values in norm)
    factor = gamma / np.sqrt(variance + epsilon)
    shifted = (0 if bias is None else bias) - mean
    if convolution.op_type == "Conv":
        kernel = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    else:  # (in, out / groups, ...): a group's input channels meet that group's outputs
        groups = len(factor) // weight.shape[1]
        grouped = weight.reshape(groups, -1, *weight.shape[1:])
        scale = factor.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
        kernel = (grouped * scale).reshape(weight.shape)
    return kernel.astype(weight.dtype), (shifted * factor + beta).astype(weight.dtype)


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes and initializers that the graph's output does not depend on, in place."""
    graph = model.graph
    read = {value.name for value in graph.output}
    used = []
    for node in reversed(graph.node):
        if not read.isdisjoint(node.output):
            read |= names_read(node)
            used.append(node)
    keep_nodes(model, used[::-1])
    initializers = [entry for entry in graph.initializer if entry.name in read]
    del graph.initializer[:]
    graph.initializer.extend(initializers)


def names_read(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, including those that its branches read."""
    names = set(node.input)
    for entry in node.attribute:
        for graph in (*((entry.g,) if entry.HasField("g") else ()), *entry.graphs):
            names |= {value.name for value in graph.output}.union(*map(names_read, graph.node))
    return names


def keep_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Set the graph's nodes to these, in this order; they may be its own.

    Removing nodes one by one would search the graph for each.
    """
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)
