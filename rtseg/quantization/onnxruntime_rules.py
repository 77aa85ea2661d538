"""Placement for ONNX Runtime's CPU provider: every tensor between quantized operators is INT8.

Its QLinear kernels are used only with a pair on the output too: a file placed for TensorRT runs slower there than FP32.
A pair comes after the activation function, which the provider folds into the rounding.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from rtseg.graphs.view import GraphView, node_name
from rtseg.quantization.placement import Placement, Use
from rtseg.quantization.shared_rules import MOVING, behind_activation, leading_to_convolutions, why_not, without_rule

COMPUTING = frozenset({"Add", "Mul", "Resize"})
"""Operators quantized between quantized tensors. Resize has no INT8 kernel, but the Add or Concat after it has. Not
AveragePool: its INT8 kernel is several times slower than the float one."""

FOLDED = frozenset({"Relu", "Clip"})
"""Activations that the provider folds into the rounding of the preceding operator."""


def onnxruntime_placement(view: GraphView, excluded: Collection[str]) -> Placement:
    """Return the plan: convolutions, and every operator between INT8 tensors on the way to a convolution."""
    return _Plan(view, frozenset(excluded)).result()


class _Plan:
    def __init__(self, view: GraphView, excluded: frozenset[str]) -> None:
        self._view = view
        self._excluded = excluded
        self._leading = leading_to_convolutions(view)
        self._int8: set[str] = set()
        self._made: set[str] = set()
        self._read: set[str] = set()
        self._shared: list[frozenset[str]] = []
        self._left = without_rule(view)

    def result(self) -> Placement:
        for node in self._view.nodes:
            if node.op_type == "Conv":
                self._convolution(node)
        weights = frozenset(self._int8)
        for node in self._view.nodes:
            if node.op_type in MOVING | COMPUTING and node_name(node) not in self._excluded:
                self._join(node)
        uses = {tensor: self._uses(tensor) for tensor in self._made | self._read}
        return Placement({t: u for t, u in uses.items() if u}, weights, tuple(self._shared), self._left)

    def _convolution(self, node: onnx.NodeProto) -> None:
        name = node_name(node)
        reason = "excluded" if name in self._excluded else why_not(self._view, node) or self._why_float_result(node)
        if reason:
            self._left[name] = reason
            return
        self._int8.add(name)
        self._read.add(node.input[0])
        self._made.add(self._result(node))

    def _why_float_result(self, node: onnx.NodeProto) -> str:
        result = self._result(node)
        if result not in self._leading:
            return "the head: its result stays in floating point"
        if any(node_name(reader.node) in self._excluded for reader in self._view.readers(result)):
            return "an excluded operator reads its result"
        return ""

    def _join(self, node: onnx.NodeProto) -> None:
        """Quantize the output of an operator between INT8 tensors."""
        data = [name for name in node.input[: 1 if node.op_type == "Resize" else None] if name]
        if not all(name in self._made | self._read for name in data) or data[0] == self._view.input:
            return  # a pool over the picture's three channels has no fast INT8 kernel
        result = self._result(node)
        if result not in self._leading:
            return
        self._int8.add(node_name(node))
        self._made.add(result)
        if node.op_type in MOVING:
            self._shared.append(frozenset([*data, result]))

    def _uses(self, tensor: str) -> frozenset[Use]:
        """Return the uses of the tensor in INT8: all of them, because a kernel with INT8 output has no other.

        For a tensor computed in floating point, the other readers keep the float tensor.
        """
        readers = [Use(node_name(reader.node), reader.position) for reader in self._view.readers(tensor)]
        wanted = self._int8 if tensor not in self._made else {use.node for use in readers} - self._excluded
        return frozenset(use for use in readers if use.node in wanted)

    def _result(self, node: onnx.NodeProto) -> str:
        return behind_activation(self._view, node.output[0], FOLDED)
