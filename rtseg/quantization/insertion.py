"""Apply a placement: insert pairs of QuantizeLinear and DequantizeLinear into a copy of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rtseg.calibration.table import TensorRange
from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, node_name
from rtseg.quantization.placement import Placement, Use
from rtseg.quantization.scales import (
    SIGNED_STEPS,
    UNSIGNED_STEPS,
    activation_scale,
    channel_scales,
    constant_scale,
    shared_ranges,
)


@dataclass(frozen=True)
class Encoding:
    """The INT8 format of a target.

    unsigned: activations are uint8, with zero point 0 if nothing is negative (255 steps instead of 127), else 128.
    stored_weights: weights and biases are integers in the file; otherwise weights stay float32 before their own pair,
    which every version of TensorRT reads, and biases stay float32.
    """

    unsigned: bool
    stored_weights: bool


ENCODINGS = {
    "tensorrt": Encoding(unsigned=False, stored_weights=False),
    "onnxruntime": Encoding(unsigned=True, stored_weights=True),
    "openvino": Encoding(unsigned=True, stored_weights=False),
}


def with_pairs(
    view: GraphView, placement: Placement, ranges: Mapping[str, TensorRange], encoding: Encoding
) -> onnx.ModelProto:
    """Return a copy of the view's model that reads INT8 according to the placement.

    Raises QuantizationError for a tensor without a range.
    """
    return _Insertion(view, placement, shared_ranges(ranges, placement.shared), encoding).result()


class _Insertion:
    def __init__(
        self,
        view: GraphView,
        placement: Placement,
        ranges: Mapping[str, TensorRange],
        encoding: Encoding,
    ) -> None:
        self._view = view
        self._placement = placement
        self._ranges = ranges
        self._encoding = encoding
        self._model = onnx.ModelProto()
        self._model.CopyFrom(view.model)
        self._initializers: list[onnx.TensorProto] = []
        self._taken = names_in(view.model)
        self._names: dict[str, str] = {}
        self._renamed: dict[Use, str] = {}
        self._weight_scales: dict[str, NDArray[np.float32]] = {}

    def result(self) -> onnx.ModelProto:
        graph = self._model.graph
        nodes = list(graph.node)
        written: list[onnx.NodeProto] = []
        for tensor in (self._view.input, *(entry.name for entry in graph.initializer)):
            if tensor in self._placement.uses:
                written += self._pair(tensor)
        for node in nodes:
            if node_name(node) in self._placement.weights:
                written += self._quantized_weights(node)
            for position in range(len(node.input)):
                node.input[position] = self._renamed.get(Use(node_name(node), position), node.input[position])
            written.append(node)
            for tensor in node.output:
                if tensor in self._placement.uses:
                    written += self._pair(tensor)
        del graph.node[:]
        graph.node.extend(written)
        graph.initializer.extend(self._initializers)
        _drop_unread_constants(graph)
        return self._model

    def _pair(self, tensor: str) -> list[onnx.NodeProto]:
        scale, zero = self._scale_and_zero(tensor)
        names = [self._constant(f"{tensor}_scale", np.array(scale)), self._constant(f"{tensor}_zero_point", zero)]
        for use in self._placement.uses[tensor]:
            self._renamed[use] = self._name(f"{tensor}_dequantized")
        return self._pair_of(tensor, names)

    def _scale_and_zero(self, tensor: str) -> tuple[np.float32, NDArray[np.generic]]:
        if self._view.is_constant(tensor):
            return constant_scale(self._view.constant(tensor)), np.array(0, np.int8)
        scale = activation_scale(tensor, self._ranges)
        if not self._encoding.unsigned:
            return scale, np.array(0, np.int8)
        if self._ranges[tensor].minimum >= 0:
            return np.float32(scale * SIGNED_STEPS / UNSIGNED_STEPS), np.array(0, np.uint8)
        return scale, np.array(128, np.uint8)

    def _quantized_weights(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Make the node read its weight through INT8, and also its bias if the target stores integers."""
        weight = node.input[1]
        stores_bias = self._encoding.stored_weights and len(node.input) > 2 and node.input[2] != ""
        made: list[onnx.NodeProto] = []
        if weight not in self._weight_scales:  # several convolutions may share a weight
            scales = channel_scales(self._view.constant(weight))
            if stores_bias:
                scales = np.maximum(scales, self._least_step_for_bias(node))
            self._weight_scales[weight] = scales
            scale = self._constant(f"{weight}_scale", scales)
            zero = self._constant(f"{weight}_zero_point", np.zeros(len(scales), np.int8))
            if self._encoding.stored_weights:
                stored = self._constant(f"{weight}_quantized", _quantized(self._view.constant(weight), scales, np.int8))
                made.append(_dequantize(stored, [scale, zero], self._name(f"{weight}_dequantized"), axis=0))
            else:
                made += self._pair_of(weight, [scale, zero], axis=0)
        self._renamed[Use(node_name(node), 1)] = self._name(f"{weight}_dequantized")
        if stores_bias:
            made.append(self._quantized_bias(node, self._weight_scales[weight]))
        return made

    def _least_step_for_bias(self, node: onnx.NodeProto) -> NDArray[np.float32]:
        """Return the smallest weight steps for which the bias, in steps of input times weight, fits into INT32."""
        step = self._scale_and_zero(node.input[0])[0]
        least: NDArray[np.float32] = np.abs(self._view.constant(node.input[2])) / (step * np.float32(2**30))
        return least

    def _quantized_bias(self, node: onnx.NodeProto, scales: NDArray[np.float32]) -> onnx.NodeProto:
        """Quantize a bias. It is added to the INT32 sums, so its step is that of the products: input times weight."""
        steps = self._scale_and_zero(node.input[0])[0] * scales
        name = f"{node_name(node)}_bias"
        stored = self._constant(f"{name}_quantized", _quantized(self._view.constant(node.input[2]), steps, np.int32))
        zero = self._constant(f"{name}_zero_point", np.zeros(len(steps), np.int32))
        result = self._renamed[Use(node_name(node), 2)] = fresh_name(f"{name}_dequantized", self._taken)
        return _dequantize(stored, [self._constant(f"{name}_scale", steps), zero], result, axis=0)

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        own = fresh_name(name, self._taken)
        self._initializers.append(numpy_helper.from_array(np.asarray(value), own))
        return own

    def _name(self, wanted: str) -> str:
        """Return the wanted name, or another if the graph uses it; the same result each time."""
        if wanted not in self._names:
            self._names[wanted] = fresh_name(wanted, self._taken)
        return self._names[wanted]

    def _pair_of(self, tensor: str, scale_and_zero: list[str], axis: int | None = None) -> list[onnx.NodeProto]:
        whole, real = fresh_name(f"{tensor}_quantized", self._taken), self._name(f"{tensor}_dequantized")
        quantize = helper.make_node("QuantizeLinear", [tensor, *scale_and_zero], [whole])
        quantize.name = f"{tensor}_QuantizeLinear"
        _set_axis(quantize, axis)
        return [quantize, _dequantize(whole, scale_and_zero, real, axis)]


def _quantized(values: NDArray[np.float32], scales: NDArray[np.float32], dtype: type) -> NDArray[np.generic]:
    shaped = scales.reshape(-1, *[1] * (values.ndim - 1))
    limit = SIGNED_STEPS if dtype is np.int8 else 2**31 - 1
    return np.clip(np.rint(values / shaped.astype(np.float64)), -limit, limit).astype(dtype)


def _dequantize(source: str, scale_and_zero: list[str], result: str, axis: int | None) -> onnx.NodeProto:
    node = helper.make_node("DequantizeLinear", [source, *scale_and_zero], [result])
    node.name = f"{result}_DequantizeLinear"
    _set_axis(node, axis)
    return node


def _set_axis(node: onnx.NodeProto, axis: int | None) -> None:
    """Write the axis of a per-channel scale; a single scale has none."""
    if axis is not None:
        node.attribute.append(helper.make_attribute("axis", axis))


def _drop_unread_constants(graph: onnx.GraphProto) -> None:
    """Remove the weights that integers replaced."""
    read = {name for node in graph.node for name in node.input}
    initializers = [entry for entry in graph.initializer if entry.name in read]
    nodes = [node for node in graph.node if node.op_type != "Constant" or node.output[0] in read]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(nodes)
