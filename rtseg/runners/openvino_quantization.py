"""Say in OpenVINO's own words what QuantizeLinear and DequantizeLinear say in an ONNX file.

OpenVINO's ONNX reader makes a chain of the two: FakeQuantize to whole numbers, Convert to int8 and back, Subtract,
Multiply. Beside a Concat its low-precision passes (seen in 2026.4.1) lose the scale of such a chain: every value is
rounded to a whole number, and the result is wrong without a word. One FakeQuantize to real values says the same. It
is what those passes were written for, comes out right, and runs faster too.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rtseg.runners.protocol import Array


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
    for first, last, scale, zero_point in list(_chains(model)):
        value, input_low, input_high, low, high = first.input_values()
        reals = [operators.constant((_constant(bound) - zero_point) * scale, np.float32) for bound in (low, high)]
        joined = operators.fake_quantize(value, input_low, input_high, *reals, first.get_attributes()["levels"])
        if last.get_output_element_type(0) != joined.get_output_element_type(0):
            joined = operators.convert(joined, last.get_output_element_type(0).get_type_name())
        joined.set_friendly_name(last.get_friendly_name())
        for reader in list(last.output(0).get_target_inputs()):
            reader.replace_source_output(joined.output(0))


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
