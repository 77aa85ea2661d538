"""One operator to be written at opset 17: facts about it, and functions that write its replacement."""

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

HINT = f"export it with torch.onnx.export(..., dynamo=False, opset_version={OPSET})"
"""The exporter that writes operators of opset 17 itself."""

FLOAT = int(TensorProto.FLOAT)


class Site:
    """An operator in a static graph, and the operators that replace it.

    known describes the operator's graph, opset is that graph's. The replacement is in nodes, in computing order, and
    its constants in constants.
    """

    def __init__(self, node: onnx.NodeProto, known: Known, opset: int, taken: set[str], label: str) -> None:
        self.node, self.opset = node, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known, self._taken, self._label = known, taken, label

    # What is known

    def has(self, position: int) -> bool:
        """Return whether the operator has this input."""
        return position < len(self.node.input) and self.node.input[position] != ""

    def gives(self, position: int) -> bool:
        """Return whether this output may be read."""
        return position < len(self.node.output) and self.node.output[position] != ""

    def name(self, position: int) -> str:
        """Return the tensor name of this input; empty if it is left out."""
        return str(self.node.input[position]) if self.has(position) else ""

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """Return an input's shape. Raises OnnxError if it is not static."""
        return self._static(self.name(position))

    def result_shape(self) -> tuple[int, ...]:
        """Return the shape of the first output. Raises OnnxError if it is not static."""
        return self._static(self.node.output[0])

    def element(self, position: int = 0) -> int:
        """Return an input's onnx.TensorProto data type. Raises OnnxError if it is unknown."""
        try:
            return self._known.element(self.name(position))
        except KeyError as error:
            raise self.refused(f"the unknown type of {self.name(position)}") from error

    def is_constant(self, position: int) -> bool:
        """Return whether the file holds an input's value."""
        return self._known.is_constant(self.name(position))

    def constant(self, position: int) -> NDArray[Any]:
        """Return the value of a constant input. Raises OnnxError for a computed one."""
        if not self.is_constant(position):
            raise self.refused(f"{self.name(position)}, which is computed where a constant is needed")
        return self._known.constant(self.name(position))

    def integers(self, position: int) -> list[int]:
        """Return the values of a constant input as a flat list. Raises OnnxError for a computed one."""
        return [int(value) for value in self.constant(position).ravel()]

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute's value, a string as str, or default."""
        value = attribute(self.node, name, default)
        return value.decode() if isinstance(value, bytes) else value

    def axis(self, value: int, rank: int) -> int:
        """Return an axis counted from the front. Raises OnnxError for an axis that does not exist."""
        if not -rank <= value < rank:
            raise self.refused(f"the axis {value} of {rank} dimensions")
        return value % rank

    def refused(self, got: str) -> OnnxError:
        """Return the error that says why the operator has no form at opset 17."""
        return OnnxError(
            f"{self._label} has an operator that opset {OPSET} cannot express: "
            f"{self.node.op_type} ({node_name(self.node)}) of opset {self.opset}",
            got=got,
            hint=HINT,
        )

    # What takes its place

    def value(self, array: Any, dtype: Any = None) -> str:
        """Add a constant of that value and return its name."""
        name = self._fresh("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def like(self, array: Any, element: int | None = None) -> str:
        """Add a constant and return its name. Its element type is by default that of the first input."""
        dtype = helper.tensor_dtype_to_np_dtype(self.element() if element is None else element)
        return self.value(np.asarray(array).astype(dtype))

    def number(self, value: float, element: int | None = None) -> str:
        """Add a scalar constant and return its name. Its element type is by default that of the first input."""
        return self.like(value, element)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Write an operator with one output; return the name of that output."""
        made = self._fresh(operator.lower())
        self.nodes.append(helper.make_node(operator, list(inputs), [made], made, **attributes))
        return made

    def give(self, operator: str, *inputs: str, **attributes: Any) -> None:
        """Write the last operator of the replacement; it takes the node's name and outputs."""
        outputs, name = list(self.node.output), self.node.name
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name, **attributes))

    def keep(self, *inputs: str, without: tuple[str, ...] = (), **attributes: Any) -> None:
        """Write the node itself with these inputs, by default its own, without some attributes and with others set."""
        kept = onnx.NodeProto()
        kept.CopyFrom(self.node)
        if inputs:
            kept.input[:] = inputs
        left = [entry for entry in kept.attribute if entry.name not in (*without, *attributes)]
        del kept.attribute[:]
        kept.attribute.extend([*left, *(helper.make_attribute(name, value) for name, value in attributes.items())])
        self.nodes.append(kept)

    def cast(self, tensor: str, element: int, to: int) -> str:
        """Return the tensor cast from one element type to another."""
        return tensor if element == to else self.add("Cast", tensor, to=to)

    def reshaped(self, tensor: str, shape: tuple[int, ...]) -> str:
        """Return the tensor in another shape."""
        return self.add("Reshape", tensor, self.value(shape, np.int64))

    def give_reshaped(self, tensor: str, shape: tuple[int, ...]) -> None:
        """Write a Reshape as the last operator of the replacement."""
        self.give("Reshape", tensor, self.value(shape, np.int64))

    def _static(self, tensor: str) -> tuple[int, ...]:
        try:
            return self._known.shape(tensor)
        except KeyError as error:
            raise self.refused(f"{tensor}, whose shape is not static") from error

    def _fresh(self, suffix: str) -> str:
        # Named after the operator's output, which is unique; several operators may share one name.
        return fresh_name(f"{self.node.output[0]}/{suffix}", self._taken)
