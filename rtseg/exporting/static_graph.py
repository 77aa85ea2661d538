"""From what an exporter wrote to the static graph: simplified, sizes as constants, the contracts in its metadata."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from rtseg.errors import OnnxError
from rtseg.exporting.simplify import fold_batch_norms, without_identities
from rtseg.frame.protocol import TensorSpec


def static_copy(model: onnx.ModelProto, result: TensorSpec, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return the model simplified, with constant resize sizes, a named static output and the metadata properties."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    without_identities(copy)
    fold_batch_norms(copy)
    _fold_resize_sizes(copy)
    _drop_unused(copy)
    del copy.graph.value_info[:]
    sides = copy.graph.output[0].type.tensor_type.shape
    del sides.dim[:]
    for side in result.shape:
        sides.dim.add().dim_value = side
    onnx.helper.set_model_props(copy, dict(metadata))
    copy.producer_name = "rtseg"
    return copy


def _fold_resize_sizes(model: onnx.ModelProto) -> None:
    """Give each Resize its sizes as a constant, where an exporter computes them from the input's shape."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in [*inferred.graph.value_info, *inferred.graph.output]
    }
    constants = {initializer.name for initializer in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Resize" or len(node.input) < 4 or node.input[3] in constants:
            continue
        sizes = shapes.get(node.output[0], [])
        if len(sizes) != 4 or not all(sizes):
            raise OnnxError(f"the size of {node.name} is not static", hint="plain integers for sizes in forward()")
        name = f"{node.output[0]}_sizes"
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [4], sizes))
        node.input[3] = name


def _drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes and initializers that no output depends on, in one pass from the outputs back."""
    graph = model.graph
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    read = {value.name for value in graph.output}
    kept: set[int] = set()
    waiting = list(read)
    while waiting:
        index = producers.get(waiting.pop())
        if index is not None and index not in kept:
            kept.add(index)
            new = _names_read(graph.node[index]) - read
            read |= new
            waiting += new
    nodes = [node for index, node in enumerate(graph.node) if index in kept]
    initializers = [entry for entry in graph.initializer if entry.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(initializers)


def _names_read(node: onnx.NodeProto) -> set[str]:
    """Return the names of the tensors that a node reads, those inside its own graphs too."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
            names |= {value.name for value in graph.output}.union(*map(_names_read, graph.node))
    return names
