"""Placement for TensorRT: pairs only on the inputs of operators that run in INT8.

TensorRT fuses DequantizeLinear -> Conv -> activation -> QuantizeLinear into one INT8 kernel, including the Add of a
residual if only the skip branch has a pair.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx

from rtseg.graphs.view import GraphView, node_name
from rtseg.quantization.placement import Placement, Use
from rtseg.quantization.shared_rules import ACTIVATIONS, behind_activation, why_not, without_rule


def tensorrt_placement(view: GraphView, excluded: Collection[str]) -> Placement:
    """Return the tensors that get Q/DQ pairs for TensorRT. excluded names operators that stay in floating point.

    Convolutions are decided first, then the operators between them, from the output backwards.
    """
    return _Plan(view, frozenset(excluded)).result()


class _Plan:
    def __init__(self, view: GraphView, excluded: frozenset[str]) -> None:
        self._view = view
        self._excluded = excluded
        self._uses: dict[str, set[Use]] = {}
        self._weights: set[str] = set()
        self._shared: list[frozenset[str]] = []
        self._left = without_rule(view)
        self._depths = _depths(view)

    def result(self) -> Placement:
        rules = {
            "Add": self._residual,
            "Concat": self._concat,
            "MaxPool": self._max_pool,
            "AveragePool": self._average_pool,
        }
        for node in self._view.nodes:
            if node.op_type == "Conv":
                self._convolution(node)
        # Backwards, so that the readers of a Concat are decided before it, also if they are Concats.
        for node in reversed(self._view.nodes):
            if node.op_type in rules and node_name(node) not in self._excluded:
                rules[node.op_type](node)
        uses = {tensor: frozenset(readings) for tensor, readings in self._uses.items()}
        return Placement(uses, frozenset(self._weights), tuple(self._shared), self._left)

    def _convolution(self, node: onnx.NodeProto) -> None:
        name = node_name(node)
        reason = "excluded" if name in self._excluded else why_not(self._view, node)
        if reason:
            self._left[name] = reason
            return
        self._weights.add(name)
        self._read_quantized(node, 0)

    def _residual(self, node: onnx.NodeProto) -> None:
        """Quantize the skip branch of an Add if only that Add reads its other branch, an INT8 convolution.

        If the sum is read in INT8, the convolution's kernel adds and rounds in one step; a sum in floating point needs
        its skip branch in floating point.
        """
        if behind_activation(self._view, node.output[0], ACTIVATIONS) not in self._uses:
            return
        if any(self._view.shape(tensor) != self._view.shape(node.output[0]) for tensor in node.input):
            return
        fusing = [
            position
            for position, tensor in enumerate(node.input)
            if self._is_quantized_convolution(tensor) and len(self._view.readers(tensor)) == 1
        ]
        if not fusing or any(map(self._view.is_constant, node.input)):
            return
        # Of two convolutions the one at the end of the longer path is the branch, the other the skip (a projection).
        fused = max(fusing, key=lambda position: self._depths[node.input[position]])
        self._read_quantized(node, 1 - fused)

    def _concat(self, node: onnx.NodeProto) -> None:
        """Give inputs and output one scale, so that the preceding kernels write into place."""
        if node.output[0] not in self._uses or any(map(self._view.is_constant, node.input)):
            return
        for position in range(len(node.input)):
            self._read_quantized(node, position)
        self._shared.append(frozenset([*node.input, node.output[0]]))

    def _max_pool(self, node: onnx.NodeProto) -> None:
        if node.output[0] in self._uses:
            self._read_quantized(node, 0)
            self._shared.append(frozenset([node.input[0], node.output[0]]))

    def _average_pool(self, node: onnx.NodeProto) -> None:
        if node.output[0] in self._uses:
            self._read_quantized(node, 0)

    def _read_quantized(self, node: onnx.NodeProto, position: int) -> None:
        self._uses.setdefault(node.input[position], set()).add(Use(node_name(node), position))

    def _is_quantized_convolution(self, tensor: str) -> bool:
        producer = self._view.producer(tensor)
        return producer is not None and producer.op_type == "Conv" and node_name(producer) in self._weights


def _depths(view: GraphView) -> dict[str, int]:
    """Return for each tensor the number of nodes on the longest path to it."""
    depths: dict[str, int] = {}
    for node in view.nodes:
        depth = 1 + max((depths.get(tensor, 0) for tensor in node.input), default=0)
        depths.update(dict.fromkeys(node.output, depth))
    depths.setdefault(view.input, 0)
    return depths
