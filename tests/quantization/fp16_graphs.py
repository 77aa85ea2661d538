"""Small graphs by hand, and what is asked of every FP16 graph whatever it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtseg.graphs.view import GraphView, node_name
from rtseg.quantization.fp16 import Fp16Graph

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
SHAPE = (1, 4, 8, 8)


def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=f"/{output}", **attributes)


def graph(
    nodes: list[onnx.NodeProto],
    shape: tuple[int, ...] = SHAPE,
    *,
    result: tuple[int, ...] | None = None,
    kinds: tuple[int, int] = (FLOAT, FLOAT),
    opset: int = 17,
    **constants: Any,
) -> onnx.ModelProto:
    """From "image" to "output"; constants by name."""
    ends = [
        helper.make_tensor_value_info(name, kind, sides)
        for name, kind, sides in zip(("image", "output"), kinds, (shape, result or shape))
    ]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset == 17 else 9)
    helper.set_model_props(model, {"rtseg.image": "the contract"})
    onnx.checker.check_model(model, full_check=True)
    return model


def weights(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / np.float32(np.prod(shape[1:]) ** 0.5)


def ran(model: onnx.ModelProto, array: NDArray[Any]) -> NDArray[Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # It fuses Q, Concat and DQ into an operator of its own that takes no FP16 scale, and then refuses it.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: array})[0]  # type: ignore[no-any-return]


def picture(shape: tuple[int, ...] = SHAPE, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def types(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the element types each node reads and gives, by node name, those left out apart."""
    view = GraphView(model)
    return {node_name(n): [view.element_type(name) for name in [*n.input, *n.output] if name] for n in view.nodes}


def operators(model: onnx.ModelProto) -> list[str]:
    return [n.op_type for n in model.graph.node]


def require_sound(half: Fp16Graph, source: onnx.ModelProto) -> None:
    """Valid, typed, in order, with the ends, opset and metadata of the source, and no Cast without need."""
    model = half.model
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, check_type=True, data_prop=True)
    assert [*model.graph.input] == [*source.graph.input]
    assert [*model.graph.output] == [*source.graph.output]
    assert model.opset_import == source.opset_import
    assert model.ir_version == source.ir_version
    assert model.metadata_props == source.metadata_props
    view = GraphView(model)
    known = {view.input, *(entry.name for entry in model.graph.initializer)}
    assert len(known) == len(model.graph.initializer) + 1
    casts = set()
    for n in model.graph.node:
        assert {name for name in n.input if name} <= known, f"{n.name} reads what comes later"
        known.update(n.output)
        if n.op_type == "Cast" and {view.element_type(n.input[0]), view.element_type(n.output[0])} == {HALF, FLOAT}:
            before = view.producer(n.input[0])
            assert before is None or before.op_type != "Cast", f"{n.name} follows a Cast"
            assert (n.input[0], n.output[0]) not in casts
            casts.add((n.input[0], view.element_type(n.output[0])))
            assert view.readers(n.output[0]) or n.output[0] == view.output, f"{n.name} is read by nobody"
    assert len(casts) == half.casts
    read = {name for n in model.graph.node for name in n.input}
    assert {entry.name for entry in model.graph.initializer} <= read
    for name, precision in half.precisions.items():
        if precision == "fp32":
            assert HALF not in types(model)[name], f"{name} is said to be FP32"
    assert set(half.reasons) == {name for name, precision in half.precisions.items() if precision == "fp32"}
