"""Express QuantizeLinear and DequantizeLinear of an ONNX file in operators that OpenVINO computes correctly.

OpenVINO's ONNX reader turns the pair into a chain: FakeQuantize to integers, Convert to int8 and back, Subtract,
Multiply. Its low-precision passes (seen in 2026.4.1) silently get two things wrong:

- Beside a Concat they lose the scale of such a chain, and round every value to an integer. One FakeQuantize to real
  values means the same. The passes were written for it; its results are right, and it is faster too.
- They may hold signed values as uint8 with a zero point of 128. An AveragePool that counts its padding then reads the
  padding as bytes of 0, the most negative value. So values that cannot be negative are given as uint8 with a zero
  point of 0, the same values in the same steps; for other values the average is computed in real values.

engines/cpp/backends/openvino/quantization.cpp does the same in C++, for programs without Python: tests/embedding
compares the resulting models of both, byte for byte. So new nodes get explicit names; OpenVINO would invent some.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rtseg.frame.protocol import Array

BYTE = 255
"""The largest uint8."""

_SUMS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")
"""Operators that no Multiply is moved in front of."""

_KEEPING_SIGN = ("MaxPool", "AvgPool", "FakeQuantize")
"""Operators whose result is not negative if their input is not."""


class _Chain(NamedTuple):
    """Nodes from a FakeQuantize to the Multiply that returns to real values, with their parameters."""

    first: Any
    last: Any
    scale: Array
    zero_point: Array


def join_quantization(model: Any, openvino: ModuleType) -> None:
    """Replace the chains of an openvino.Model's activations, in place.

    Weights stay as they are, and so do integers that anything other than a DequantizeLinear reads.
    """
    operators = openvino.opset13
    _fold_constants(model, operators)
    chains = list(_chains(model))
    for chain in chains:
        first, last, name = chain.first, chain.last, chain.last.get_friendly_name()
        value, input_low, input_high, low, high = first.input_values()
        least, most = ((_constant(bound) - chain.zero_point) * chain.scale for bound in (low, high))
        if chain.scale.size == 1 and _never_negative(value):
            top = operators.constant(np.float32(BYTE * chain.scale.item()), name=f"{name}/top")
            zero = operators.constant(np.float32(0), name=f"{name}/zero")
            bounded = operators.clamp(value, 0.0, float(most.item()), name=f"{name}/bounded")
            joined = operators.fake_quantize(bounded, zero, top, zero, top, BYTE + 1)
        else:
            low, high = operators.constant(least, name=f"{name}/least"), operators.constant(most, name=f"{name}/most")
            levels = first.get_attributes()["levels"]
            joined = operators.fake_quantize(value, input_low, input_high, low, high, levels)
        if last.get_output_element_type(0) != joined.get_output_element_type(0):
            joined.set_friendly_name(f"{name}/joined")
            joined = operators.convert(joined, last.get_output_element_type(0).get_type_name())
        joined.set_friendly_name(name)
        for reader in list(last.output(0).get_target_inputs()):
            reader.replace_source_output(joined.output(0))
    if chains:
        _average_real_values(model, operators)
        _negate_real_values(model, operators)


def _fold_constants(model: Any, operators: Any) -> None:
    """Replace integer constants with real ones, except weights whose products OpenVINO computes correctly."""
    for last in model.get_ordered_ops():
        if last.get_type_name() != "Multiply" or (weights := _whole_weights(last)) is None:
            continue
        real = operators.constant(weights.real, name=f"{last.get_friendly_name()}/folded")
        for reader in list(last.output(0).get_target_inputs()):
            if not _multiplies_well(reader, weights):
                reader.replace_source_output(real.output(0))


class _Weights(NamedTuple):
    """A constant that the file holds as integers: its real values, and whether it has a zero point."""

    real: Array
    shifted: bool


def _whole_weights(last: Any) -> _Weights | None:
    """Return the constant whose dequantization ends in this Multiply; None if it is another Multiply."""
    scale, source = _constant(last.input_value(1)), last.input_value(0)
    zero_point = np.zeros((), np.float32)
    if source.get_node().get_type_name() == "Subtract":
        shift = _constant(source.get_node().input_value(1))
        source, zero_point = source.get_node().input_value(0), zero_point if shift is None else shift
    whole = source.get_node()
    if scale is None or whole.get_type_name() != "Convert":
        return None
    stored = whole.input_value(0)
    values = _constant(stored)
    if values is None or stored.get_element_type().get_type_name() not in ("i8", "u8"):
        return None
    return _Weights((values - zero_point) * scale, bool(np.any(zero_point)))


def _multiplies_well(reader: Any, weights: _Weights) -> bool:
    """Return whether OpenVINO's INT8 kernels compute the products of these weights correctly."""
    node = reader.get_node()
    if node.get_type_name() == "Reshape":  # into groups
        return all(_multiplies_well(further, weights) for further in node.output(0).get_target_inputs())
    if reader.get_index() != 1:
        return False
    kind = node.get_type_name()
    transposed = kind in ("ConvolutionBackpropData", "GroupConvolutionBackpropData")
    return kind in ("Convolution", "GroupConvolution", "MatMul") or (transposed and not weights.shifted)


def _average_real_values(model: Any, operators: Any) -> None:
    """Compute averages that count their padding in real values if the values may be negative."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "AvgPool":
            continue
        given = node.get_attributes()
        unpadded = not any(given["pads_begin"]) and not any(given["pads_end"])
        if given["exclude-pad"] or unpadded or _never_negative(node.input_value(0)):
            continue
        _hide(node.input(0), operators)


def _negate_real_values(model: Any, operators: Any) -> None:
    """Compute products with negative constants in real values, unless they follow a sum of products.

    The passes move such a product in front of a MaxPool, which then takes the minimum of the negated values.
    """
    for node in model.get_ordered_ops():
        for port in _negated_inputs(node):
            if node.input_value(port).get_node().get_type_name() not in _SUMS:
                _hide(node.input(port), operators)


def _negated_inputs(node: Any) -> list[int]:
    """Return the indices of the inputs that a node may multiply by a negative constant."""
    kind = node.get_type_name()
    if kind == "Negative":
        return [0]
    if kind == "BatchNormInference":  # data, gamma, beta, mean, variance
        return [0] if _may_be_negative(node.input_value(1)) else []
    if kind == "Subtract":
        return [1] if _constant(node.input_value(0)) is not None and _constant(node.input_value(1)) is None else []
    if kind not in ("Multiply", "Divide"):
        return []
    constants = [_constant(value) is not None for value in node.input_values()]
    return [
        port
        for port in (0, 1)
        if not constants[port] and constants[1 - port] and _may_be_negative(node.input_value(1 - port))
    ]


def _may_be_negative(value: Any) -> bool:
    constant = _constant(value)
    return constant is None or bool((constant < 0).any())


def _hide(port: Any, operators: Any) -> None:
    """Insert an operator before an input that changes no value and that the passes do not look through."""
    name = f"{port.get_node().get_friendly_name()}/{port.get_index()}"
    lowest = operators.constant(np.float32(np.finfo(np.float32).min), name=f"{name}/lowest")
    port.replace_source_output(operators.maximum(port.get_source_output(), lowest, name=f"{name}/hidden").output(0))


def _never_negative(value: Any) -> bool:
    node = value.get_node()
    kind = node.get_type_name()
    if kind in ("Concat", *_KEEPING_SIGN):
        inputs = node.input_values() if kind == "Concat" else [node.input_value(0)]
        return all(map(_never_negative, inputs))
    return kind == "Relu" or (kind == "Clamp" and bool(node.get_attributes()["min"] >= 0))


def _chains(model: Any) -> Iterator[_Chain]:
    for first in model.get_ordered_ops():
        if first.get_type_name() != "FakeQuantize" or _constant(first.input_value(0)) is not None:
            continue
        for whole in _readers(first, "Convert"):
            for real in _readers(whole, "Convert"):
                yield from _dequantized(first, real)


def _dequantized(first: Any, real: Any) -> Iterator[_Chain]:
    """Yield the chains that end after `real`, with or without a zero point."""
    shifted = [(node, _constant(node.input_value(1))) for node in _readers(real, "Subtract")]
    for node, zero_point in [(real, np.zeros((), np.float32)), *shifted]:
        for last in _readers(node, "Multiply"):
            scale = _constant(last.input_value(1))
            if zero_point is not None and scale is not None:
                yield _Chain(first, last, scale, zero_point)


def _readers(node: Any, kind: str) -> list[Any]:
    readers = [reader.get_node() for reader in node.output(0).get_target_inputs()]
    return [reader for reader in readers if reader.get_type_name() == kind]


def _constant(output: Any) -> Array | None:
    """Return the float32 value of a node that depends on one constant only; None for anything else."""
    node = output.get_node()
    if node.get_type_name() == "Constant":
        return np.asarray(node.data, np.float32)
    if node.get_type_name() not in ("Convert", "Reshape"):
        return None
    value = _constant(node.input_value(0))
    return None if value is None else value.reshape(tuple(output.get_partial_shape().to_shape()))
