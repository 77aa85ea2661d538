"""Graphs written operator by operator, run as they are with ONNX Runtime, and compiled with TensorRT for RTX."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtseg.engines.rewriting.cost import Cost, compiled_cost
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.runners.tensorrt.module import load_rtx

AMPERE = (8, 6)
Shape = tuple[int, ...]


class Written:
    """Collects operators; the tensor "image" is the graph's input. Constants take the graph's type."""

    def __init__(self, shape: Shape, *, half: bool = False, seed: int = 0) -> None:
        self.shape = shape
        self.type = np.float16 if half else np.float32
        self.random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: Any) -> str:
        """Integers stay int64; everything else becomes float32 or float16."""
        array = np.asarray(value)
        array = array.astype(np.int64 if np.issubdtype(array.dtype, np.integer) else self.type)
        return self._keep(array)

    def scales(self, *values: float) -> str:
        """Return a float32 constant, as the scales of a Resize are in any graph."""
        return self._keep(np.array(values, np.float32))

    def flags(self, *values: bool) -> str:
        """Return a constant of truth values."""
        return self._keep(np.array(values))

    def _keep(self, array: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator; return its result."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], f"/{name}", **attributes))
        return name

    def numbers(self, *shape: int) -> str:
        """Add a constant of random numbers."""
        return self.constant(self.random.standard_normal(shape))

    def conv(
        self,
        source: str,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        bias: bool = True,
        pad: int | None = None,
        **more: Any,
    ) -> str:
        """Add a convolution with random weights, padded to keep its size where nothing else is said."""
        group = more.get("group", 1)
        scale = (kernel * kernel * inputs / group) ** -0.5
        weight = self.constant(self.random.standard_normal((outputs, inputs // group, kernel, kernel)) * scale)
        pads = [kernel // 2 if pad is None else pad] * 4
        return self.op("Conv", source, weight, *([self.numbers(outputs)] if bias else []), pads=pads, **more)

    def norm(self, source: str, channels: int) -> str:
        """Add a BatchNormalization."""
        variance = self.constant(self.random.uniform(0.5, 2, channels))
        return self.op("BatchNormalization", source, *(self.numbers(channels) for _ in range(3)), variance)

    def resize(self, source: str, factor: float = 2, *, mode: str = "linear", coordinates: str = "half_pixel") -> str:
        """Add a Resize of both sides by a factor."""
        scales = self.scales(1, 1, factor, factor)
        nearest = {"nearest_mode": "floor"} if mode == "nearest" else {}
        return self.op("Resize", source, "", scales, mode=mode, coordinate_transformation_mode=coordinates, **nearest)

    def model(self, output: str) -> onnx.ModelProto:
        """Return the graph that computes a tensor."""
        kind = TensorProto.FLOAT16 if self.type == np.float16 else TensorProto.FLOAT
        ends = [
            helper.make_tensor_value_info("image", kind, self.shape),
            helper.make_tensor_value_info(output, kind, None),
        ]
        graph = helper.make_graph(self._nodes, "g", ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        result = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0]
        model.graph.output[0].CopyFrom(result)
        onnx.checker.check_model(model, full_check=True)
        return model


def ran(model: onnx.ModelProto, seed: int = 1) -> NDArray[np.float64]:
    """Return what the graph computes from random numbers, each operator as it stands."""
    image = model.graph.input[0].type.tensor_type
    shape = [side.dim_value for side in image.shape.dim]
    numbers = np.random.default_rng(seed).standard_normal(shape)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    array = numbers.astype(helper.tensor_dtype_to_np_dtype(image.elem_type))
    return np.asarray(session.run(None, {"image": array})[0], np.float64)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def rewritten(graph_pass: GraphPass, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what the pass makes of a graph that it must change; check that it computes the same."""
    changed = graph_pass.rewrite(model)
    assert changed is not model
    onnx.checker.check_model(changed, full_check=True)
    before, after = ran(model), ran(changed)
    half = model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    largest = np.abs(before).max()
    np.testing.assert_allclose(after, before, rtol=0, atol=(8e-3 if half else 1e-5) * max(largest, 1e-3))
    return changed


def compiled(model: onnx.ModelProto) -> Cost:
    """Return the graph's cost in FP16 on Ampere."""
    return compiled_cost(load_rtx("test"), model, "fp16", AMPERE)


def saving(graph_pass: GraphPass, model: onnx.ModelProto) -> tuple[int, int]:
    """Return how many kernels and bytes a pass saves; skip where TensorRT for RTX is not installed."""
    pytest.importorskip("tensorrt_rtx")
    before, after = compiled(model), compiled(rewritten(graph_pass, model))
    assert after.price < before.price and after.bytes <= before.bytes
    return before.kernels - after.kernels, before.bytes - after.bytes
