"""The known types, shapes and constant values of the tensors of a static graph of any opset."""

from __future__ import annotations

from typing import Any

import onnx
from numpy.typing import NDArray

from rtseg.graphs.view import GraphView

OF_ITS_INPUT = frozenset({"GroupNormalization"})
"""Operators whose output has the type and shape of their first input, which onnx does not infer."""


class Known:
    """Types, shapes and constants by tensor name. The model must not change while this is in use."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._view = GraphView(model)
        graph = onnx.shape_inference.infer_shapes(inferable(model), data_prop=True).graph
        self._types = {
            value.name: value.type.tensor_type
            for value in [*graph.value_info, *graph.output, *graph.input]
            if value.type.HasField("tensor_type")
        }

    def is_constant(self, tensor: str) -> bool:
        """Return whether the file holds the tensor's value."""
        return self._view.is_constant(tensor)

    def constant(self, tensor: str) -> NDArray[Any]:
        """Return a constant's value. Raises KeyError for a computed tensor."""
        return self._view.constant(tensor)

    def element(self, tensor: str) -> int:
        """Return the tensor's onnx.TensorProto data type. Raises KeyError if it is unknown."""
        if self.is_constant(tensor):
            return self._view.element_type(tensor)
        element = int(self._types[tensor].elem_type)
        if element == onnx.TensorProto.UNDEFINED:
            raise KeyError(tensor)
        return element

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the tensor's shape. Raises KeyError if it is unknown or not static."""
        if self.is_constant(tensor):
            return self._view.shape(tensor)
        kind = self._types[tensor]
        if not kind.HasField("shape") or not all(side.HasField("dim_value") for side in kind.shape.dim):
            raise KeyError(tensor)
        return tuple(int(side.dim_value) for side in kind.shape.dim)


def inferable(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model in which onnx can infer every type and shape; the model itself if it can already."""
    if not any(node.op_type in OF_ITS_INPUT for node in model.graph.node):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type in OF_ITS_INPUT:
            del node.attribute[:], node.input[1:]
            node.op_type = "Identity"
    return copy
