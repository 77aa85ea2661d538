"""Rewrite LayerNormalization in operators that TensorRT 8.5 supports.

Each normalised row becomes a channel of an InstanceNormalization. TensorRT sums its statistics in FP32 in every
precision; written out as means and squares they would overflow in FP16.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute, node_name


def without_layer_norms(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Return the graph with each LayerNormalization as an InstanceNormalization, and their number.

    A graph without any is returned unchanged. A LayerNormalization whose mean or deviation is also read is kept.
    """
    found = [node for node in model.graph.node if node.op_type == "LayerNormalization" and not any(node.output[1:])]
    if not found:
        return model, 0
    view, taken = GraphView(model), names_in(model)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.node[:]
    for node in model.graph.node:
        if node.op_type == "LayerNormalization" and not any(node.output[1:]):
            nodes, constants = _written(node, view.shape(node.input[0]), taken)
            changed.graph.node.extend(nodes)
            changed.graph.initializer.extend(constants)
        else:
            changed.graph.node.append(node)
    return changed, len(found)


def _written(
    node: onnx.NodeProto, shape: tuple[int, ...], taken: set[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the operators that replace the node, the last under its name, and the constants they read."""
    first = attribute(node, "axis", -1) % len(shape)
    rows, length = math.prod(shape[:first]), math.prod(shape[first:])
    names = {
        part: fresh_name(f"{node_name(node)}_{part}", taken)
        for part in ("rows", "normal", "back", "scaled", "rows_shape", "back_shape", "ones", "zeros")
    }
    values = {
        "rows_shape": np.array([1, rows, length]),
        "back_shape": np.array(shape),
        "ones": np.ones(rows, np.float32),
        "zeros": np.zeros(rows, np.float32),
    }
    constants = [numpy_helper.from_array(value, names[part]) for part, value in values.items()]
    steps = [
        ("Reshape", [node.input[0], names["rows_shape"]], "rows", {}),
        (
            "InstanceNormalization",
            [names["rows"], names["ones"], names["zeros"]],
            "normal",
            {"epsilon": attribute(node, "epsilon", 1e-5)},
        ),
        ("Reshape", [names["normal"], names["back_shape"]], "back", {}),
        ("Mul", [names["back"], node.input[1]], "scaled", {}),
    ]
    if len(node.input) > 2 and node.input[2]:
        steps.append(("Add", [names["scaled"], node.input[2]], "added", {}))
    nodes = [
        helper.make_node(kind, read, [names.get(part, part)], names.get(part), **more)
        for kind, read, part, more in steps
    ]
    nodes[-1].output[0], nodes[-1].name = node.output[0], node_name(node)
    return nodes, constants
