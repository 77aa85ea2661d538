"""Operators written as onnx itself defines them, and what that computes of shapes as constants."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import onnx
from onnx import inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from rtseg.graphs.view import GraphView

LARGEST_FOLDED = 2**16
"""The most values of a constant that is computed here. Shapes, axes and indices are shorter."""


def inlined(model: onnx.ModelProto, operators: Collection[str]) -> onnx.ModelProto:
    """Return the model with these operators, of ONNX's own, written as onnx defines them at the model's opset.

    What they compute of static shapes stands there as constants.
    """
    before = {name for node in model.graph.node for name in node.output}
    written = inliner.inline_selected_functions(model, [("", name) for name in operators], inline_schema_functions=True)
    while _folded(written, before):
        pass
    return written


def _folded(model: onnx.ModelProto, before: set[str]) -> bool:
    """Make constants of what the inlined operators compute of constants and shapes, in place; return whether any."""
    view, graph = GraphView(model), model.graph
    made: dict[str, onnx.TensorProto] = {}
    for node in list(graph.node):
        if before.intersection(node.output) or len(node.output) != 1:
            continue
        value = _value(node, view, made)
        if value is not None and value.size <= LARGEST_FOLDED:
            made[node.output[0]] = numpy_helper.from_array(value, node.output[0])
            graph.node.remove(node)
    graph.initializer.extend(made.values())
    return bool(made)


def _value(node: onnx.NodeProto, view: GraphView, made: dict[str, onnx.TensorProto]) -> np.ndarray | None:
    """Return what a node gives, or None where that depends on the picture."""
    if node.op_type in ("Shape", "Size") and not view.is_constant(node.input[0]) and node.input[0] not in made:
        try:
            shape = view.shape(node.input[0])
        except KeyError:
            return None
        if not all(shape):
            return None
        if node.op_type == "Size":
            return np.array(math.prod(shape))
        span = {entry.name: entry.i for entry in node.attribute}
        return np.array(shape[span.get("start") : span.get("end")])
    inputs = {}
    for name in filter(None, node.input):
        if name in made:
            inputs[name] = numpy_helper.to_array(made[name])
        elif view.is_constant(name):
            inputs[name] = view.constant(name)
        else:
            return None
    if any(value.size > LARGEST_FOLDED for value in inputs.values()):
        return None
    types = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in inputs.items()
    ]
    graph = onnx.helper.make_graph([node], "constant", types, [onnx.ValueInfoProto(name=node.output[0])])
    single = onnx.helper.make_model(graph, opset_imports=list(view.model.opset_import))
    (value,) = ReferenceEvaluator(single).run(None, inputs)
    return np.asarray(value)
