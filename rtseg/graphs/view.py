"""An index over an ONNX graph: which node computes a tensor, which nodes read it, its shape, its constant value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Shape = tuple[int, ...]


class Reader(NamedTuple):
    """A node that reads a tensor, and the index of the input through which it reads it."""

    node: onnx.NodeProto
    position: int


class GraphView:
    """Everything a pass asks about a static graph. The model must not change while its view is in use.

    Both initializers and Constant nodes count as constants. Shapes and types are inferred once, on the first question
    that the file itself does not answer: many passes need none.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.model = model
        self.input: str = graph.input[0].name
        self.output: str = graph.output[0].name
        self.nodes: tuple[onnx.NodeProto, ...] = tuple(node for node in graph.node if node.op_type != "Constant")
        self._constants: dict[str, onnx.TensorProto] = {entry.name: entry for entry in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = _constant_value(node)
        self._producers = {name: node for node in self.nodes for name in node.output if name}
        self._readers: dict[str, list[Reader]] = {}
        for node in self.nodes:
            for position, name in enumerate(node.input):
                if name:  # an omitted optional input has an empty name
                    self._readers.setdefault(name, []).append(Reader(node, position))
        self._stated = _stated_types([*graph.input, *graph.output])
        self._inferred: dict[str, tuple[int, Shape]] | None = None

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """Return the node that computes the tensor; None for the graph's input and for constants."""
        return self._producers.get(tensor)

    def readers(self, tensor: str) -> list[Reader]:
        """Return the nodes that read the tensor, in the order of the graph. The graph's output is not among them."""
        return list(self._readers.get(tensor, []))

    def is_constant(self, tensor: str) -> bool:
        """Return whether the file holds the tensor's value."""
        return tensor in self._constants

    def constant(self, tensor: str) -> NDArray[Any]:
        """Return a constant's value, as a copy. Raises KeyError for a tensor that is computed."""
        return np.array(numpy_helper.to_array(self._constants[tensor]))

    def shape(self, tensor: str) -> Shape:
        """Return the tensor's static shape. Raises KeyError if shape inference does not find it."""
        if tensor in self._constants:
            return tuple(self._constants[tensor].dims)
        return self._type(tensor)[1]

    def element_type(self, tensor: str) -> int:
        """Return the tensor's onnx.TensorProto data type. Raises KeyError if it is not known."""
        if tensor in self._constants:
            return int(self._constants[tensor].data_type)
        return self._type(tensor)[0]

    def activations(self) -> tuple[str, ...]:
        """Return the float32 tensors that depend on the picture, the graph's input first, in computing order."""
        found: list[str] = []
        computed = {self.input}
        if self.element_type(self.input) == onnx.TensorProto.FLOAT:
            found.append(self.input)
        for node in self.nodes:
            if not computed.intersection(node.input):
                continue
            computed.update(node.output)
            found += [name for name in node.output if self._is_float(name)]
        return tuple(found)

    def _is_float(self, tensor: str) -> bool:
        try:
            return self._type(tensor)[0] == onnx.TensorProto.FLOAT
        except KeyError:
            return False

    def _type(self, tensor: str) -> tuple[int, Shape]:
        if tensor in self._stated:
            return self._stated[tensor]
        if self._inferred is None:
            inferred = onnx.shape_inference.infer_shapes(self.model, data_prop=True).graph
            self._inferred = _stated_types(inferred.value_info)
        return self._inferred[tensor]


def node_name(node: onnx.NodeProto) -> str:
    """Return a node's name, or the name of its first result if it has none."""
    return str(node.name or node.output[0])


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return the value of a node's attribute, or default."""
    for entry in node.attribute:
        if entry.name == name:
            return onnx.helper.get_attribute_value(entry)
    return default


def _constant_value(node: onnx.NodeProto) -> onnx.TensorProto:
    entry = node.attribute[0]
    value = onnx.helper.get_attribute_value(entry)
    if isinstance(value, onnx.TensorProto):
        return value
    integers = entry.name in ("value_int", "value_ints")
    return numpy_helper.from_array(np.array(value, np.int64 if integers else np.float32))


def _stated_types(values: Iterable[onnx.ValueInfoProto]) -> dict[str, tuple[int, Shape]]:
    return {
        value.name: (
            int(value.type.tensor_type.elem_type),
            tuple(side.dim_value for side in value.type.tensor_type.shape.dim),
        )
        for value in values
    }
