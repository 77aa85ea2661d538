"""One operator that is to be written at opset 17: what is known of it, and how what takes its place is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import OnnxError
from rtseg.exporting.opset_lowering.known import Known
from rtseg.graphs.canonical import OPSET
from rtseg.graphs.names import fresh_name
from rtseg.graphs.view import attribute, node_name

HINT = f"torch.onnx.export(..., dynamo=False, opset_version={OPSET})"
"""The exporter that writes operators of opset 17 itself."""

FLOAT = int(TensorProto.FLOAT)


class Site:
    """An operator in a static graph, and the operators written in its place.

    known is of the graph that the operator stands in, opset that graph's. What is written is in nodes, in computing
    order, and the constants it reads in constants.
    """

    def __init__(self, node: onnx.NodeProto, known: Known, opset: int, taken: set[str], label: str) -> None:
        self.node, self.opset = node, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known, self._taken, self._label = known, taken, label

    # What is known

    def has(self, position: int) -> bool:
        """Return whether the operator is given this input."""
        return position < len(self.node.input) and self.node.input[position] != ""

    def gives(self, position: int) -> bool:
        """Return whether somebody may read this output."""
        return position < len(self.node.output) and self.node.output[position] != ""

    def name(self, position: int) -> str:
        """Return the tensor that is this input; an empty string where it is left out."""
        return str(self.node.input[position]) if self.has(position) else ""

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """Return an input's shape. Raises OnnxError where it is not static."""
        return self._static(self.name(position))

    def result_shape(self) -> tuple[int, ...]:
        """Return the shape of the first output. Raises OnnxError where it is not static."""
        return self._static(self.node.output[0])

    def element(self, position: int = 0) -> int:
        """Return an input's onnx.TensorProto data type. Raises OnnxError where it is not known."""
        try:
            return self._known.element(self.name(position))
        except KeyError as error:
            raise self.refused(f"the unknown type of {self.name(position)}") from error

    def is_constant(self, position: int) -> bool:
        """Return whether an input's value stands in the file."""
        return self._known.is_constant(self.name(position))

    def constant(self, position: int) -> NDArray[Any]:
        """Return the value of a constant input. Raises OnnxError for one that is computed."""
        if not self.is_constant(position):
            raise self.refused(f"{self.name(position)}, which is computed where a constant is needed")
        return self._known.constant(self.name(position))

    def integers(self, position: int) -> list[int]:
        """Return the values of a constant input as a flat list. Raises OnnxError for one that is computed."""
        return [int(value) for value in self.constant(position).ravel()]

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute's value, a string as str, or default."""
        value = attribute(self.node, name, default)
        return value.decode() if isinstance(value, bytes) else value

    def axis(self, value: int, rank: int) -> int:
        """Return an axis counted from the front. Raises OnnxError for one that there is not."""
        if not -rank <= value < rank:
            raise self.refused(f"the axis {value} of {rank} dimensions")
        return value % rank

    def refused(self, got: str) -> OnnxError:
        """Return the error that says why the operator has no form at opset 17."""
        return OnnxError(
            f"{self._label} has an operator that opset {OPSET} cannot say: "
            f"{self.node.op_type} ({node_name(self.node)}) of opset {self.opset}",
            got=got,
            hint=HINT,
        )

    # What takes its place

    def value(self, array: Any, dtype: Any = None) -> str:
        """Return the name of a new constant of that value."""
        name = self._fresh("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def like(self, array: Any, element: int | None = None) -> str:
        """Return the name of a new constant of an element type, by default the first input's."""
        dtype = helper.tensor_dtype_to_np_dtype(self.element() if element is None else element)
        return self.value(np.asarray(array).astype(dtype))

    def number(self, value: float, element: int | None = None) -> str:
        """Return the name of a new scalar of an element type, by default the first input's."""
        return self.like(value, element)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Write an operator of one output; return what it computes."""
        made = self._fresh(operator.lower())
        self.nodes.append(helper.make_node(operator, list(inputs), [made], made, **attributes))
        return made

    def give(self, operator: str, *inputs: str, **attributes: Any) -> None:
        """Write the operator that computes what the node computed, under its name."""
        outputs, name = list(self.node.output), self.node.name
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name, **attributes))

    def keep(self, *inputs: str, without: tuple[str, ...] = (), **attributes: Any) -> None:
        """Write the node itself with these inputs, by default its own, and some attributes left out or set."""
        kept = onnx.NodeProto()
        kept.CopyFrom(self.node)
        if inputs:
            kept.input[:] = inputs
        left = [entry for entry in kept.attribute if entry.name not in (*without, *attributes)]
        del kept.attribute[:]
        kept.attribute.extend([*left, *(helper.make_attribute(name, value) for name, value in attributes.items())])
        self.nodes.append(kept)

    def cast(self, tensor: str, element: int, to: int) -> str:
        """Return the tensor, of one element type, in another."""
        return tensor if element == to else self.add("Cast", tensor, to=to)

    def reshaped(self, tensor: str, shape: tuple[int, ...]) -> str:
        """Return the tensor in another shape."""
        return self.add("Reshape", tensor, self.value(shape, np.int64))

    def give_reshaped(self, tensor: str, shape: tuple[int, ...]) -> None:
        """Write a Reshape that computes what the node computed."""
        self.give("Reshape", tensor, self.value(shape, np.int64))

    def _static(self, tensor: str) -> tuple[int, ...]:
        try:
            return self._known.shape(tensor)
        except KeyError as error:
            raise self.refused(f"{tensor}, whose shape is not static") from error

    def _fresh(self, suffix: str) -> str:
        # After what the operator gives, as nothing else does: many operators may go by one name.
        return fresh_name(f"{self.node.output[0]}/{suffix}", self._taken)
