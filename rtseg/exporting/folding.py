"""Fold computed sizes into constants: nodes that do not depend on the picture are run once.

Exporters write `x.shape[2] // 2` as nodes, for chunk, GroupNorm, attention, padding, expand_as and more. At one picture
size all of these are fixed. Shape inference gives the sizes, and ONNX Runtime computes what follows from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rtseg.errors import OnnxError, first_line
from rtseg.exporting.opset_lowering.known import inferable
from rtseg.exporting.simplify import drop_unused, keep_nodes, names_read
from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute
from rtseg.runners.onnxruntime import InMemoryModel

LARGEST = 1 << 20
"""Maximum number of values of a folded constant; a larger one stays computed."""

_ROUNDS = 64
_STAYS = frozenset(
    {
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),  # they state the file's precision
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"),
        *("If", "Loop", "Scan", "Dropout", "Constant"),
    }
)

Shape = tuple[int, ...]
Values = dict[str, NDArray[Any]]


def fold_constants(model: onnx.ModelProto, label: str) -> int:
    """Replace, in place, nodes that do not depend on the graph's input by their values; return the number of nodes.

    The graph's input must have a static shape. Raises OnnxError if shape inference or ONNX Runtime refuses the graph.
    """
    before = len(model.graph.node)
    for _ in range(_ROUNDS):
        shapes = {entry.name: tuple(entry.dims) for entry in model.graph.initializer}
        shapes.update({name: shape for name, (_, shape) in inferred_types(model, label).items()})
        changed = _measured(model, shapes)
        changed += _computed(model, shapes, label)
        changed += _chosen_branches(model)
        if not changed:
            break
    return before - len(model.graph.node)


def inferred_types(model: onnx.ModelProto, label: str) -> dict[str, tuple[int, Shape]]:
    """Return element type and shape of every tensor with a fully inferred shape, except constants.

    Raises OnnxError if inference refuses the graph.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(inferable(model), data_prop=True).graph
    except Exception as error:  # the C++ code raises InferenceError, RuntimeError and others
        raise OnnxError(f"{label} is not valid ONNX: {first_line(error)}") from error
    types: dict[str, tuple[int, Shape]] = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(side.HasField("dim_value") for side in tensor.shape.dim):
            types[value.name] = int(tensor.elem_type), tuple(side.dim_value for side in tensor.shape.dim)
    return types


def _measured(model: onnx.ModelProto, shapes: dict[str, Shape]) -> int:
    """Replace Shape and Size of tensors with known shapes; return the number of nodes replaced."""
    found: Values = {}
    for node in model.graph.node:
        if node.op_type not in ("Shape", "Size") or node.input[0] not in shapes:
            continue
        shape = shapes[node.input[0]]
        if node.op_type == "Shape":
            found[node.output[0]] = np.array(
                shape[attribute(node, "start", 0) : attribute(node, "end", None)], np.int64
            )
        else:
            found[node.output[0]] = np.array(math.prod(shape), np.int64)
    return _replace(model, found)


def _computed(model: onnx.ModelProto, shapes: dict[str, Shape], label: str) -> int:
    """Replace the used results of nodes whose inputs are all constants, directly or indirectly."""
    graph = model.graph
    known = {entry.name for entry in graph.initializer}
    known |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    constant: list[onnx.NodeProto] = []
    made: set[str] = set()
    read = {value.name for value in graph.output}
    for node in graph.node:
        if (
            node.op_type in _STAYS
            or not known.issuperset(filter(None, node.input))
            or any(math.prod(shapes.get(name, ())) > LARGEST for name in node.output)
        ):
            read |= names_read(node)
            continue
        made |= set(filter(None, node.output))
        known |= made
        constant.append(node)
    wanted = sorted(made & read)
    if not wanted:
        return 0
    values = zip(wanted, _run(model, constant, wanted, label))
    return _replace(model, {name: value for name, value in values if isinstance(value, np.ndarray)})


def _run(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], wanted: Sequence[str], label: str
) -> Sequence[object]:
    """Return the values of the tensors that those nodes compute from the model's constants."""
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        [node for node in model.graph.node if node.op_type == "Constant" and node.output[0] in read] + list(nodes),
        "constants",
        [],
        [onnx.ValueInfoProto(name=name) for name in wanted],
        [entry for entry in model.graph.initializer if entry.name in read],
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return InMemoryModel(part.SerializeToString(), f"the constants of {label}").run(list(wanted))


def _chosen_branches(model: onnx.ModelProto) -> int:
    """Replace each If with a constant condition by the nodes of the taken branch; return the number replaced."""
    view = GraphView(model)
    taken, nodes, count = names_in(model), [], 0
    for node in model.graph.node:
        if node.op_type == "If" and view.is_constant(node.input[0]):
            branch = "then_branch" if view.constant(node.input[0]).all() else "else_branch"
            nodes += _inlined(model, node, attribute(node, branch, None), taken)
            count += 1
        else:
            nodes.append(node)
    if count:
        keep_nodes(model, nodes)
    return count


def _inlined(
    model: onnx.ModelProto, choice: onnx.NodeProto, branch: onnx.GraphProto, taken: set[str]
) -> list[onnx.NodeProto]:
    """Return the branch's nodes under unique names; its outputs get the names of the If's outputs."""
    own = [
        *(entry.name for entry in branch.initializer),
        *(name for node in branch.node for name in node.output if name),
    ]
    renamed = {name: fresh_name(name, taken) for name in own}
    nodes = []
    for entry in branch.initializer:
        copy = model.graph.initializer.add()
        copy.CopyFrom(entry)
        copy.name = renamed[entry.name]
    for node in branch.node:
        copy_of_node = onnx.NodeProto()
        copy_of_node.CopyFrom(node)
        _rename(copy_of_node, renamed)
        nodes.append(copy_of_node)
    for inside, outside in zip(branch.output, choice.output):
        nodes.append(helper.make_node("Identity", [renamed.get(inside.name, inside.name)], [outside]))
    return nodes


def _rename(node: onnx.NodeProto, renamed: dict[str, str]) -> None:
    node.input[:] = [renamed.get(name, name) for name in node.input]
    node.output[:] = [renamed.get(name, name) for name in node.output]
    for entry in node.attribute:
        for inner in entry.g.node:
            _rename(inner, renamed)


def _replace(model: onnx.ModelProto, values: Values) -> int:
    """Turn those results into initializers, drop unused nodes, and return the number of results."""
    if not values:
        return 0
    graph = model.graph
    outputs = {value.name for value in graph.output}
    taken, nodes = names_in(model), []
    for node in graph.node:
        given = [name for name in node.output if name in values]
        for name in given:
            # Not every parser accepts an initializer as the graph's output.
            constant = fresh_name(f"{name}.value", taken) if name in outputs else name
            graph.initializer.append(numpy_helper.from_array(values[name], constant))
            if constant != name:
                nodes.append(helper.make_node("Identity", [constant], [name]))
        node.output[:] = [fresh_name(f"{name}.unread", taken) if name in given else name for name in node.output]
        nodes.append(node)
    keep_nodes(model, nodes)
    drop_unused(model)
    return len(values)
