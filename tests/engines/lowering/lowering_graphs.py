"""Small graphs by hand, run with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8
SHAPE = (1, 4, 8, 8)


def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=f"/{output}", **attributes)


def graph(
    nodes: list[onnx.NodeProto],
    shape: tuple[int, ...] = SHAPE,
    *,
    result: tuple[int, ...] | None = None,
    kinds: tuple[int, int] = (FLOAT, FLOAT),
    **constants: Any,
) -> onnx.ModelProto:
    """From "image" to "output" at opset 17 and IR 8; constants by name."""
    ends = [
        helper.make_tensor_value_info(name, kind, sides)
        for name, kind, sides in zip(("image", "output"), kinds, (shape, result or shape))
    ]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def weights(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32) / np.float32(np.prod(shape[1:]) ** 0.5)


def picture(model: onnx.ModelProto) -> NDArray[Any]:
    """Return a random input for the model."""
    kind = model.graph.input[0].type.tensor_type
    shape = [side.dim_value for side in kind.shape.dim]
    random = np.random.default_rng(1)
    if kind.elem_type == UINT8:
        return random.integers(0, 256, shape, np.uint8)
    return random.standard_normal(shape).astype(np.float32)


def ran(model: onnx.ModelProto, array: NDArray[Any]) -> NDArray[Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # It fuses Q, Concat and DQ into an operator of its own that takes no FP16 scale, and then refuses it.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: array})[0]  # type: ignore[no-any-return]


def operators(model: onnx.ModelProto) -> list[str]:
    return [entry.op_type for entry in model.graph.node]


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the type of every tensor of a valid graph, constants too."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, check_type=True, data_prop=True).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    found = {value.name: int(value.type.tensor_type.elem_type) for value in values}
    return {**found, **{entry.name: int(entry.data_type) for entry in inferred.initializer}}
