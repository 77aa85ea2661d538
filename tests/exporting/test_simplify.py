from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from rtseg.exporting.simplify import fold_batch_norms, without_identities

CHANNELS = 4


def model_of(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], outputs: tuple[str, ...] = ("y",)):
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, CHANNELS, 6, 7))]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", values, results, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def computed(model: onnx.ModelProto) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((1, CHANNELS, 6, 7)).astype(np.float32)
    return session.run(None, {"x": x})


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def normalised_convolution(
    kind: str, groups: int, kernel: int, stride: int, *, bias: bool, seed: int
) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    outputs = 6 if groups < 3 else CHANNELS
    pair = (CHANNELS, outputs // groups) if kind == "ConvTranspose" else (outputs, CHANNELS // groups)
    constants = {"w": random.standard_normal((*pair, kernel, kernel))}
    if bias:
        constants["b"] = random.standard_normal(outputs)
    constants.update(
        gamma=random.uniform(-2, 2, outputs),
        beta=random.standard_normal(outputs),
        mean=random.standard_normal(outputs),
        var=random.uniform(0.01, 3, outputs),
    )
    nodes = [
        helper.make_node(kind, ["x", "w", *(["b"] if bias else [])], ["c"], group=groups, strides=[stride, stride]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["y"], epsilon=1e-3),
    ]
    return nodes, constants


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["Conv", "ConvTranspose"]),
    groups=st.sampled_from([1, 2, 4]),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_folded_convolution_computes_what_both_computed(
    kind: str, groups: int, kernel: int, stride: int, bias: bool, seed: int
) -> None:
    model = model_of(*normalised_convolution(kind, groups, kernel, stride, bias=bias, seed=seed))
    (expected,) = computed(model)
    fold_batch_norms(model)
    assert operators(model) == [kind]
    np.testing.assert_allclose(computed(model)[0], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_a_convolution_that_another_node_reads_is_left_alone() -> None:
    nodes, constants = normalised_convolution("ConvTranspose", 1, 2, 2, bias=False, seed=1)
    nodes.append(helper.make_node("Relu", ["c"], ["z"]))
    model = model_of(nodes, constants, ("y", "z"))
    expected = computed(model)
    fold_batch_norms(model)
    assert operators(model) == ["ConvTranspose", "BatchNormalization", "Relu"]
    for now, before in zip(computed(model), expected):
        np.testing.assert_array_equal(now, before)


def test_a_convolution_that_is_an_output_itself_is_left_alone() -> None:
    nodes, constants = normalised_convolution("Conv", 1, 1, 1, bias=True, seed=1)
    model = model_of(nodes, constants, ("y", "c"))
    fold_batch_norms(model)
    assert operators(model) == ["Conv", "BatchNormalization"]


def test_a_normalisation_without_a_convolution_stays() -> None:
    nodes, constants = normalised_convolution("Conv", 4, 1, 1, bias=False, seed=1)
    nodes[0] = helper.make_node("Relu", ["x"], ["c"])
    del constants["w"]
    model = model_of(nodes, constants)
    fold_batch_norms(model)
    assert operators(model) == ["Relu", "BatchNormalization"]


def test_two_convolutions_that_share_a_kernel_are_folded_each_for_itself() -> None:
    nodes, constants = normalised_convolution("Conv", 1, 1, 1, bias=False, seed=1)
    nodes += [
        helper.make_node("Conv", ["x", "w"], ["d"]),
        helper.make_node("BatchNormalization", ["d", "beta", "gamma", "mean", "var"], ["z"]),
    ]
    model = model_of(nodes, constants, ("y", "z"))
    expected = computed(model)
    fold_batch_norms(model)
    assert operators(model) == ["Conv", "Conv"]
    for now, before in zip(computed(model), expected):
        np.testing.assert_allclose(now, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 3])
def test_a_chain_of_identities_is_read_through(length: int) -> None:
    names = ["x", *(f"i{index}" for index in range(length))]
    nodes = [helper.make_node("Identity", [a], [b]) for a, b in zip(names, names[1:])]
    nodes.append(helper.make_node("Relu", [names[-1]], ["y"]))
    model = model_of(nodes, {})
    expected = computed(model)
    without_identities(model)
    assert operators(model) == ["Relu"]
    np.testing.assert_array_equal(computed(model)[0], expected[0])


def test_an_identity_that_gives_the_output_stays() -> None:
    model = model_of([helper.make_node("Identity", ["x"], ["y"])], {})
    without_identities(model)
    assert operators(model) == ["Identity"]


def test_new_constants_take_no_name_that_the_graph_has() -> None:
    model = normed_convolution("norm", "norm_weight", "norm_bias")
    [expected] = computed(model)
    fold_batch_norms(model)
    onnx.checker.check_model(model, full_check=True)
    names = [entry.name for entry in model.graph.initializer]
    assert [node.op_type for node in model.graph.node] == ["Conv", "Add"]
    assert len(set(names)) == len(names)
    np.testing.assert_allclose(computed(model)[0], expected, rtol=0, atol=1e-5)


def test_weights_in_fp16_stay_so() -> None:
    model = normed_convolution("norm", "w", "b", dtype=np.float16)
    fold_batch_norms(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Add"]


def normed_convolution(norm: str, weight: str, addend: str, *, dtype: Any = np.float32) -> onnx.ModelProto:
    """Return a convolution, its normalisation, and a constant that is added, by these names."""
    random = np.random.default_rng(0)
    constants = {
        weight: random.standard_normal((4, CHANNELS, 3, 3)),
        "gamma": random.uniform(0.5, 2, 4),
        "beta": random.standard_normal(4),
        "mean": random.standard_normal(4),
        "variance": random.uniform(0.5, 2, 4),
        addend: random.standard_normal((1, 4, 1, 1)),
    }
    nodes = [
        helper.make_node("Conv", ["x", weight], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], [norm]),
        helper.make_node("Add", [norm, addend], ["y"]),
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [1, CHANNELS, 6, 7])],
        [helper.make_tensor_value_info("y", kind, [1, 4, 4, 5])],
        [numpy_helper.from_array(value.astype(dtype), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
