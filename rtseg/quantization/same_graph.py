"""Check that a quantized file still computes the same as the file it was made from: ONNX Runtime runs both.

FP16 may differ by its rounding, which is far below LARGEST_OF_FP16. The error of INT8 cannot be known beforehand, so an
INT8 file is compared without its roundings: each pair of QuantizeLinear and DequantizeLinear passes its input on, and
integer weights are replaced by the original's, from which they may be at most half a step away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rtseg.errors import QuantizationError
from rtseg.frame.protocol import Array
from rtseg.graphs.view import GraphView, attribute, node_name
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.probes import LARGE, distance, probe_inputs

LARGEST_OF_FP16 = 0.25
"""As a fraction of the logits' standard deviation. Networks that multiply features have 0.07, others 0.001 to 0.03."""

LARGEST_WITHOUT_PAIRS = 1e-3
"""For the same operators on the same numbers, with other fusions."""

_HALF_A_STEP = 0.501


def require_same_results(original: GraphView, path: Path, made: Path, precision: str, label: str) -> None:
    """Raise QuantizationError, with label as the file's name, if `made` computes something else than `path`.

    original is the view of the graph at path; precision, "fp16" or "int8", is that of the file at made. Both run on the
    same inputs, of both signs and also large. Raises RunnerError.
    """
    if precision == "fp16":
        _compare(path, made, LARGEST_OF_FP16, label)
        return
    model = without_pairs(onnx.load(made), original, label)
    with tempfile.TemporaryDirectory(prefix="rtseg-") as folder:
        plain = Path(folder) / "without-pairs.onnx"
        plain.write_bytes(model.SerializeToString())
        _compare(path, plain, LARGEST_WITHOUT_PAIRS, label)


def _compare(path: Path, made: Path, largest: float, label: str) -> None:
    with OnnxRuntimeRunner(path) as reference, OnnxRuntimeRunner(made) as candidate:
        for name, array in probe_inputs(reference.input):
            expected, got = reference.infer(array.copy()), candidate.infer(array.astype(candidate.input.dtype))
            if name == LARGE and expected.shape == got.shape:  # FP16, or both, may overflow there
                counted = np.isfinite(expected) & np.isfinite(got)
                expected, got = expected[counted], got[counted]
            if expected.size and not distance(expected, got) <= largest:
                raise QuantizationError(
                    f"{label} differs too much from {path}",
                    got=f"a relative error of {distance(expected, got):.3g} on the probe input {name!r}",
                    expected=f"at most {largest:g}",
                    hint="pass --table with ranges, so that values beyond FP16 stay FP32, or use --exclude",
                )


def without_pairs(model: onnx.ModelProto, original: GraphView, label: str) -> onnx.ModelProto:
    """Return the model without its quantizers and with the constants of the original graph.

    Raises QuantizationError for a pair whose two halves differ, and for a constant more than half a step away from the
    original value.
    """
    view = GraphView(model)
    sources = {node_name(node): node for node in original.nodes}
    passed, stored = _passed_on(view, label)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    kept, wanted = [], set[str]()
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for index, name in enumerate(node.input):
            name = passed.get(name, name)
            if name in stored:
                constant = sources[node_name(node)].input[index]
                _require_close(original.constant(constant), *stored[name], f"{constant} in {label}")
                name = constant
            node.input[index] = name
            wanted.add(name)
        kept.append(node)
    for value in graph.output:
        if value.name in passed:
            kept.append(helper.make_node("Identity", [passed[value.name]], [value.name]))
    own = {entry.name: entry for entry in graph.initializer}
    lacking = [name for name in wanted if name not in own and original.is_constant(name)]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(original.constant(name), name) for name in lacking)
    return copy


Stored = Mapping[str, tuple[Array, Array]]
"""By tensor: the real values of an integer constant, and the size of their steps."""


def _passed_on(view: GraphView, label: str) -> tuple[dict[str, str], Stored]:
    """Return the source of each DequantizeLinear: the input of its QuantizeLinear, or a stored constant."""
    passed: dict[str, str] = {}
    stored: dict[str, tuple[Array, Array]] = {}
    for node in view.nodes:
        if node.op_type != "DequantizeLinear":
            continue
        quantize = view.producer(node.input[0])
        if quantize is None:
            stored[node.output[0]] = _real_values(view, node)
            continue
        halves = [[view.constant(name).tolist() for name in half.input[1:]] for half in (quantize, node)]
        if halves[0] != halves[1] or attribute(quantize, "axis", 1) != attribute(node, "axis", 1):
            raise QuantizationError(
                f"QuantizeLinear and DequantizeLinear of a pair differ in {label}", got=node_name(node)
            )
        passed[node.output[0]] = passed.get(quantize.input[0], quantize.input[0])
    return passed, stored


def _real_values(view: GraphView, node: onnx.NodeProto) -> tuple[Array, Array]:
    whole, scale, *zero = (view.constant(name) for name in node.input)
    axis = attribute(node, "axis", 1)
    shape = [-1 if index == axis else 1 for index in range(whole.ndim)] if scale.ndim else []
    step = scale.astype(np.float64).reshape(shape)
    offset = zero[0].astype(np.float64).reshape(shape) if zero else 0.0
    return (whole - offset) * step, step


def _require_close(expected: Array, values: Array, step: Array, label: str) -> None:
    if not (np.abs(values - expected) <= _HALF_A_STEP * step + 1e-30).all():
        raise QuantizationError(f"{label} differs from the original constant", expected="at most half a step away")
