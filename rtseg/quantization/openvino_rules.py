"""Placement for OpenVINO on a CPU: every convolution, the large matrix products, and operators between INT8 tensors.

Its kernels support any number of channels and groups, add and round in one step, and write INT8 or floats as the next
operator needs them. Time is lost only by a tensor that is written in floating point between two of them.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView, node_name
from rtseg.quantization.placement import Placement, Use
from rtseg.quantization.shared_rules import (
    ACTIVATIONS,
    MOVING,
    RESHAPING,
    behind_activation,
    leading_to_convolutions,
    why_never,
    without_rule,
)

COMPUTING = frozenset({"Add", "AveragePool", "Resize"})
"""Operators quantized between quantized tensors."""

LEAST_SHARE = 0.01
"""As a fraction of the network's work: a smaller matrix product saves no time."""


def openvino_placement(view: GraphView, excluded: Collection[str]) -> Placement:
    """Return the plan: convolutions, matrix products, and every operator between INT8 tensors before a convolution."""
    return _Plan(view, frozenset(excluded)).result()


class _Plan:
    def __init__(self, view: GraphView, excluded: frozenset[str]) -> None:
        self._view = view
        self._excluded = excluded
        self._leading = leading_to_convolutions(view)
        self._macs = macs_by_node(view)
        self._int8: set[str] = set()
        self._made: set[str] = set()
        self._read: set[str] = set()
        self._weights: set[str] = set()
        self._products: set[str] = set()
        self._shared: list[frozenset[str]] = []
        self._left = without_rule(view)

    def result(self) -> Placement:
        for node in self._view.nodes:
            if node.op_type == "Conv":
                self._convolution(node)
            elif node.op_type == "MatMul":
                self._matrix_product(node)
        for node in self._view.nodes:
            if node.op_type in MOVING | COMPUTING and node_name(node) not in self._excluded:
                self._join(node)
        uses = {tensor: self._uses(tensor) for tensor in self._made | self._read}
        return Placement(
            {tensor: readings for tensor, readings in uses.items() if readings},
            frozenset(self._weights),
            tuple(self._shared),
            self._left,
            frozenset(self._products),
        )

    def _convolution(self, node: onnx.NodeProto) -> None:
        name = node_name(node)
        reason = "excluded" if name in self._excluded else why_never(self._view, node)
        if reason:
            self._left[name] = reason
            return
        self._weights.add(name)
        self._compute(node, [node.input[0]])

    def _matrix_product(self, node: onnx.NodeProto) -> None:
        """Quantize a product with a constant matrix. Tensor and constant are both read through a pair."""
        name = node_name(node)
        constants = [self._view.is_constant(tensor) for tensor in node.input]
        if name in self._excluded:
            self._left[name] = "excluded"
        elif sum(constants) != 1:
            self._left[name] = "not a product of a tensor and a constant"
        elif self._macs[name] >= LEAST_SHARE * sum(self._macs.values()):
            del self._left[name]
            self._products.add(name)
            self._compute(node, node.input)
        else:
            self._left[name] = "a matrix product: small here"

    def _compute(self, node: onnx.NodeProto, sources: Collection[str]) -> None:
        """Make the node read those tensors in INT8, and write INT8 if its output leads to a convolution."""
        self._int8.add(node_name(node))
        for tensor in sources:
            reshapings, source = self._behind_reshaping(tensor)
            self._int8.update(map(node_name, reshapings))
            self._read.add(source)
        result = behind_activation(self._view, node.output[0], ACTIVATIONS)
        if result in self._leading:
            self._made.add(result)

    def _join(self, node: onnx.NodeProto) -> None:
        """Quantize the output of an operator between INT8 tensors."""
        data = node.input[: 1 if node.op_type == "Resize" else None]
        reshaped = [self._behind_reshaping(tensor) for tensor in data]
        sources = [source for _, source in reshaped]
        if any(map(self._view.is_constant, sources)) or not self._made.union(self._read).issuperset(sources):
            return
        result = behind_activation(self._view, node.output[0], ACTIVATIONS)
        if result not in self._leading:
            return
        self._int8.add(node_name(node))
        self._int8.update(node_name(reshaping) for reshapings, _ in reshaped for reshaping in reshapings)
        self._made.add(result)
        if node.op_type in MOVING:
            self._shared.append(frozenset([*sources, result]))

    def _behind_reshaping(self, tensor: str) -> tuple[list[onnx.NodeProto], str]:
        """Return the reshaping operators on the way to a reader, and the tensor before them, which is to be quantized.

        If other operators also read a reshaped result, or if its operator is excluded, that result is the tensor.
        """
        passed: list[onnx.NodeProto] = []
        producer = self._view.producer(tensor)
        while (
            producer is not None
            and producer.op_type in RESHAPING
            and node_name(producer) not in self._excluded
            and len(self._view.readers(tensor)) == 1
        ):
            passed.append(producer)
            tensor = producer.input[0]
            producer = self._view.producer(tensor)
        return passed, tensor

    def _leads_to_excluded(self, node: onnx.NodeProto) -> bool:
        """Return whether an excluded operator reads the node's input, directly or reshaped."""
        if node_name(node) in self._excluded:
            return True
        behind = self._view.readers(node.output[0]) if node.op_type in RESHAPING else []
        return any(self._leads_to_excluded(reader.node) for reader in behind)

    def _uses(self, tensor: str) -> frozenset[Use]:
        """Return the uses of the tensor in INT8: all of them if it is written in INT8 only."""
        made = tensor in self._made
        return frozenset(
            Use(node_name(reader.node), reader.position)
            for reader in self._view.readers(tensor)
            if (not self._leads_to_excluded(reader.node) if made else node_name(reader.node) in self._int8)
        )
