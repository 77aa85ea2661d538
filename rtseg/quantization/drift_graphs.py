"""Find the tensors that two graphs of one network share, and extract the operators between them as models."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import OnnxError
from rtseg.graphs.view import GraphView, node_name

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


@dataclass(frozen=True)
class CommonTensor:
    """A tensor that both graphs compute under one name. operator and operator_type describe the reference's operator.

    reference_inputs and other_inputs are the common tensors, the graph's input among them, from which each graph
    computes it; all of them come earlier. counted is True if both graphs hold it in floating point.
    """

    name: str
    operator: str
    operator_type: str
    reference_inputs: tuple[str, ...]
    other_inputs: tuple[str, ...]
    counted: bool


def common_tensors(reference: GraphView, other: GraphView) -> tuple[CommonTensor, ...]:
    """Return the tensors to compare, in the reference's computing order.

    They have the same name and shape in both graphs, depend on the input and are floating point; the graph's output is
    included whatever its type. A tensor of one graph only, such as the result of a Cast or a quantizer, belongs to the
    path to the next common one. Raises OnnxError if the inputs or outputs have different names.
    """
    if (reference.input, reference.output) != (other.input, other.output):
        raise OnnxError(
            "the inputs and outputs of the two graphs have different names",
            got=f"{other.input} and {other.output}",
            expected=f"{reference.input} and {reference.output}",
            hint="compare two files made from one export",
        )
    inside = set(_computed(other))
    found: list[CommonTensor] = []
    known = {reference.input}
    for name in _computed(reference):
        comparable = name in inside and _comparable(reference, other, name)
        producer = reference.producer(name)
        if producer is None or not (comparable or name == reference.output):
            continue
        sides = [_walk(view, name, known)[1] for view in (reference, other)]
        found.append(
            CommonTensor(name, node_name(producer), str(producer.op_type), tuple(sides[0]), tuple(sides[1]), comparable)
        )
        known.add(name)
    return tuple(found)


def part(view: GraphView, tensor: str, inputs: Collection[str]) -> onnx.ModelProto:
    """Return the operators that compute a tensor from the inputs, as a model without a marked output."""
    chosen, _ = _walk(view, tensor, inputs)
    nodes = [node for node in view.nodes if id(node) in chosen]
    constants = dict.fromkeys(name for node in nodes for name in node.input if name and view.is_constant(name))
    graph = helper.make_graph(
        nodes,
        "part",
        [helper.make_tensor_value_info(name, view.element_type(name), view.shape(name)) for name in inputs],
        [],
        [numpy_helper.from_array(view.constant(name), name) for name in constants],
    )
    return helper.make_model(graph, opset_imports=view.model.opset_import, ir_version=view.model.ir_version)


def numpy_type(view: GraphView, tensor: str) -> np.dtype[np.generic]:
    """Return the NumPy type of a tensor's values."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(view.element_type(tensor)))


def _computed(view: GraphView) -> Iterator[str]:
    """Yield the tensors that depend on the graph's input, in computing order."""
    dependent = {view.input}
    for node in view.nodes:
        if dependent.intersection(node.input):
            made = [name for name in node.output if name]
            dependent.update(made)
            yield from made


def _comparable(reference: GraphView, other: GraphView, name: str) -> bool:
    try:
        shapes = reference.shape(name), other.shape(name)
        types = reference.element_type(name), other.element_type(name)
    except KeyError:  # shape inference does not know it
        return False
    return shapes[0] == shapes[1] and all(shapes[0]) and all(each in _FLOATS for each in types)


def _walk(view: GraphView, tensor: str, stops: Collection[str]) -> tuple[set[int], list[str]]:
    """Return the operators, by id, on the way back from a tensor to the stops, and the stops that were reached."""
    chosen: set[int] = set()
    met: dict[str, None] = {}
    pending = [tensor]
    while pending:
        node = view.producer(pending.pop())
        if node is None or id(node) in chosen:
            continue
        chosen.add(id(node))
        for name in node.input:
            if name in stops:
                met[name] = None
            elif name and not view.is_constant(name):
                pending.append(name)
    return chosen, list(met)
