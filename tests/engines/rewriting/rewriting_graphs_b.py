"""Small graphs before and after a pass: run operator by operator, and compiled by TensorRT for RTX."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from rtseg.engines.rewriting.cost import Cost, compiled_cost
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.quantization.fp16 import to_fp16
from rtseg.quantization.fp16_rounding import every_operator_rounded
from rtseg.runners.tensorrt.module import load_rtx

FLOAT, HALF, UINT8, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.INT64


def ran_as_it_is(model: onnx.ModelProto, array: NDArray[Any]) -> NDArray[Any]:
    """Return what the graph computes as it is written: no optimisation of ONNX Runtime's."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: array})[0]  # type: ignore[no-any-return]


def rewritten(graph_pass: GraphPass, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a valid changed copy; the pass leaves its argument alone."""
    before = model.SerializeToString()
    changed = graph_pass.rewrite(model)
    assert model.SerializeToString() == before
    assert changed is not model
    onnx.checker.check_model(changed, full_check=True)
    return changed


def assert_same_values(model: onnx.ModelProto, changed: onnx.ModelProto, array: NDArray[Any], error: float) -> None:
    """Hold that both compute the same, up to that share of the greatest value."""
    expected, got = (ran_as_it_is(graph, array).astype(np.float64) for graph in (model, changed))
    np.testing.assert_allclose(got, expected, rtol=0, atol=error * max(float(np.abs(expected).max()), 1e-3))


def half_error(exact: onnx.ModelProto, model: onnx.ModelProto, array: NDArray[Any]) -> float:
    """Return how far the graph in FP16, each operator rounded, is from the exact one in FP32: root mean square."""
    expected, got = (
        ran_as_it_is(graph, array).astype(np.float64) for graph in (exact, every_operator_rounded(to_fp16(model).model))
    )
    return float(np.sqrt(np.mean((got - expected) ** 2)))


def compiled(model: onnx.ModelProto) -> Cost:
    """Return what the graph costs in FP16 on compute capability 8.6; the test is skipped without the compiler."""
    pytest.importorskip("tensorrt_rtx", exc_type=ImportError)
    return compiled_cost(load_rtx("testing"), model, "fp16", (8, 6))
