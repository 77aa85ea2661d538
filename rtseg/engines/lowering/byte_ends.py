"""Rewrite the uint8 input and output of a `labels` graph for TensorRT.

TensorRT accepts uint8 only at a network's input and output, and there only a Cast to or from a float type: no Transpose
before it, no Cast from an integer index. ONNX Runtime and OpenVINO are faster if bytes stay bytes as long as possible,
so the canonical file does that and the lowering moves the Casts.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute, node_name

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def with_float_ends(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that casts a uint8 input first of all, and casts a uint8 output from float32.

    Both are exact: float32 represents every byte and every class index. A graph without uint8 ends is returned
    unchanged.
    """
    view = GraphView(model)
    bytes_in = view.element_type(view.input) == TensorProto.UINT8
    bytes_out = view.element_type(view.output) == TensorProto.UINT8
    if not bytes_in and not bytes_out:
        return model
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    del lowered.graph.value_info[:]
    if bytes_in:
        _cast_first(lowered)
    if bytes_out:
        _cast_from_float(lowered, view)
    return lowered


def _cast_first(model: onnx.ModelProto) -> None:
    """Swap a Transpose of the input with the Casts to float that read it."""
    nodes, source = model.graph.node, model.graph.input[0].name
    for index, moved in enumerate(nodes):
        if moved.op_type != "Transpose" or moved.input[0] != source:
            continue
        readers = [node for node in nodes if moved.output[0] in node.input]
        if len(readers) != 1 or readers[0].op_type != "Cast" or attribute(readers[0], "to", 0) not in _FLOATS:
            continue
        cast = readers[0]
        between, result = moved.output[0], cast.output[0]
        moved.input[0], moved.output[0] = between, result
        cast.input[0], cast.output[0] = source, between
        first = onnx.NodeProto()
        first.CopyFrom(cast)
        nodes.remove(cast)
        nodes.insert(index, first)
        return


def _cast_from_float(model: onnx.ModelProto, view: GraphView) -> None:
    """Make the Cast that writes the output read float32."""
    nodes = model.graph.node
    for index, node in enumerate(nodes):
        if node.op_type == "Cast" and node.output[0] == view.output:
            source = node.input[0]
            if view.element_type(source) in _FLOATS:
                return
            taken = names_in(model)
            between, name = (fresh_name(word, taken) for word in (f"{source}_float", f"{node_name(node)}_from_float"))
            cast = helper.make_node("Cast", [source], [between], name, to=TensorProto.FLOAT)
            node.input[0] = between
            nodes.insert(index, cast)
            return
