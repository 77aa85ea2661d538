"""Say in OpenVINO's own words what QuantizeLinear and DequantizeLinear say in an ONNX file.

OpenVINO's ONNX reader makes a chain of the two: FakeQuantize to whole numbers, Convert to int8 and back, Subtract,
Multiply. Its low-precision passes (seen in 2026.4.1) get two things wrong, without a word:

- Beside a Concat they lose the scale of such a chain, and every value is rounded to a whole number. One FakeQuantize to
  real values says the same. It is what those passes were written for, comes out right, and runs faster too.
- They may hold signed values as uint8 with a zero point of 128, and then an AveragePool that counts its padding takes
  that for bytes of 0, which stand for the most negative value. Values that cannot be negative are given as uint8 with
  a zero point of 0, the same values in the same steps; for others the average is taken of real values.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rtseg.frame.protocol import Array

BYTE = 255
"""The largest uint8."""

_KEEPING_SIGN = ("MaxPool", "AvgPool", "FakeQuantize")
"""Operators whose result is not negative where what they read is not."""


class _Chain(NamedTuple):
    """Nodes of a model from a FakeQuantize to the Multiply that gives real values again, and what they compute with."""

    first: Any
    last: Any
    scale: Array
    zero_point: Array


def join_quantization(model: Any, openvino: ModuleType) -> None:
    """Replace the chains of an openvino.Model's activations, in place.

    Weights stay as they are, and so do whole numbers that something else than a DequantizeLinear reads.
    """
    operators = openvino.opset13
    chains = list(_chains(model))
    for chain in chains:
        first, last = chain.first, chain.last
        value, input_low, input_high, low, high = first.input_values()
        least, most = ((_constant(bound) - chain.zero_point) * chain.scale for bound in (low, high))
        if chain.scale.size == 1 and _never_negative(value):
            top = operators.constant(np.float32(BYTE * chain.scale.item()))
            zero = operators.constant(np.float32(0))
            bounded = operators.clamp(value, 0.0, float(most.item()))
            joined = operators.fake_quantize(bounded, zero, top, zero, top, BYTE + 1)
        else:
            reals = [operators.constant(bound, np.float32) for bound in (least, most)]
            joined = operators.fake_quantize(value, input_low, input_high, *reals, first.get_attributes()["levels"])
        if last.get_output_element_type(0) != joined.get_output_element_type(0):
            joined = operators.convert(joined, last.get_output_element_type(0).get_type_name())
        joined.set_friendly_name(last.get_friendly_name())
        for reader in list(last.output(0).get_target_inputs()):
            reader.replace_source_output(joined.output(0))
    if chains:
        _average_real_values(model, operators)


def _average_real_values(model: Any, operators: Any) -> None:
    """Let averages that count their padding, of values that may be negative, be taken of real values."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "AvgPool":
            continue
        given = node.get_attributes()
        unpadded = not any(given["pads_begin"]) and not any(given["pads_end"])
        if given["exclude-pad"] or unpadded or _never_negative(node.input_value(0)):
            continue
        # Changes no value, and the passes do not look through it.
        lowest = operators.constant(np.float32(np.finfo(np.float32).min))
        node.input(0).replace_source_output(operators.maximum(node.input_value(0), lowest).output(0))


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
    """Give the chains that end behind `real`, with a zero point or without."""
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
    """Return the float32 value of what is computed from one constant alone; None for anything else."""
    node = output.get_node()
    if node.get_type_name() == "Constant":
        return np.asarray(node.data, np.float32)
    if node.get_type_name() not in ("Convert", "Reshape"):
        return None
    value = _constant(node.input_value(0))
    return None if value is None else value.reshape(tuple(output.get_partial_shape().to_shape()))
