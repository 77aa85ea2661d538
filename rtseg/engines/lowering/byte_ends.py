"""The uint8 ends of a `labels` graph as TensorRT takes them.

TensorRT knows uint8 at a network's input and output only, and there only a Cast from or to a float type: no Transpose
before it, no Cast from an integer index. ONNX Runtime and OpenVINO are faster with bytes for as long as possible,
so the canonical file has them and the lowering moves the Casts.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute, node_name

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def with_float_ends(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which a uint8 input is cast before all else, and a uint8 output cast from float32.

    Both are exact: a byte, and an index of a class, are float32 numbers. A graph without uint8 ends comes back as
    it is.
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
    """Exchange a Transpose of the input with the Casts to float that read it."""
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
    """Let the Cast that gives the output read float32."""
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
