from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from rtseg.calibration.observation import cut, tensor_spec
from rtseg.errors import CalibrationError, RunnerError
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.view import GraphView
from rtseg.runners.activations import ActivationRunner

KIB = 1024


@pytest.fixture(scope="module")
def view(affnet_file: Path) -> GraphView:
    return GraphView(read_canonical(affnet_file))


def computed(view: GraphView) -> list[str]:
    return [name for name in view.activations() if name != view.input]


def random_input(view: GraphView, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(view.shape(view.input)).astype(np.float32)


def values_of(view: GraphView, array: np.ndarray, observed: list[str], budget: int) -> dict[str, np.ndarray]:
    runner = ActivationRunner(tensor_spec(view, view.input), cut(view, observed, budget_bytes=budget), threads=1)
    return {name: value.copy() for name, value in runner(array)}


def reference_values(view: GraphView, array: np.ndarray, observed: list[str]) -> dict[str, np.ndarray]:
    """The same tensors from one session with all of them as outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(view.model)
    del model.graph.output[:]
    for name in observed:
        model.graph.output.append(helper.make_tensor_value_info(name, view.element_type(name), view.shape(name)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return dict(zip(observed, session.run(observed, {view.input: array})))


@pytest.mark.parametrize("budget", [1, 64 * KIB, 512 * KIB, 2**40])
def test_every_activation_has_the_bits_of_the_whole_graph_wherever_it_is_cut(view: GraphView, budget: int) -> None:
    array = random_input(view)
    found = values_of(view, array, computed(view), budget)
    assert list(found) == computed(view)
    for name, expected in reference_values(view, array, computed(view)).items():
        assert found[name].tobytes() == expected.tobytes(), name


@pytest.mark.parametrize("budget", [1, 512 * KIB])
def test_each_node_stands_in_one_stretch(view: GraphView, budget: int) -> None:
    stretches = cut(view, computed(view), budget_bytes=budget)
    nodes = [node for stretch in stretches for node in onnx.load_from_string(stretch.model).graph.node]
    assert Counter(name for node in nodes for name in node.output) == Counter(
        name for node in view.nodes for name in node.output
    )


def test_a_smaller_budget_takes_more_stretches_and_less_memory(view: GraphView) -> None:
    source = tensor_spec(view, view.input)
    cuts = [cut(view, computed(view), budget_bytes=budget) for budget in (400 * KIB, 2**40)]
    small, whole = (ActivationRunner(source, stretches, threads=1).held_bytes for stretches in cuts)
    assert len(cuts[0]) > len(cuts[1]) == 1
    assert small < whole / 2


def test_a_second_input_overwrites_all_of_the_first(view: GraphView) -> None:
    runner = ActivationRunner(
        tensor_spec(view, view.input), cut(view, computed(view), budget_bytes=64 * KIB), threads=1
    )
    for _ in runner(random_input(view, 1)):
        pass
    expected = reference_values(view, random_input(view, 2), computed(view))
    for name, value in runner(random_input(view, 2)):
        assert value.tobytes() == expected[name].tobytes(), name


def test_what_comes_after_the_last_observed_tensor_is_not_computed(view: GraphView) -> None:
    first = computed(view)[0]
    (stretch,) = cut(view, [first])
    assert [spec.name for spec in stretch.outputs] == [first]
    assert len(onnx.load_from_string(stretch.model).graph.node) == 1


def test_tensors_that_are_not_observed_cross_a_cut_all_the_same(view: GraphView) -> None:
    array = random_input(view)
    observed = [view.output]
    found = values_of(view, array, observed, 1)
    assert found[view.output].tobytes() == reference_values(view, array, observed)[view.output].tobytes()


def test_an_input_of_another_shape_is_refused(view: GraphView) -> None:
    runner = ActivationRunner(tensor_spec(view, view.input), cut(view, [view.output]), threads=1)
    with pytest.raises(RunnerError, match=r"does not fit; got float32 \(1, 3, 8, 8\)"):
        list(runner(np.zeros((1, 3, 8, 8), np.float32)))


def unpooling_graph() -> onnx.ModelProto:
    """Pooling whose integer indices are needed at the very end."""
    nodes = [
        helper.make_node("MaxPool", ["image"], ["pooled", "indices"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Relu", ["pooled"], ["positive"]),
        helper.make_node("Neg", ["positive"], ["negative"]),
        helper.make_node("MaxUnpool", ["negative", "indices"], ["output"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 8, 8)) for name in ("image", "output")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_integers_cross_a_cut_but_are_not_observed() -> None:
    view = GraphView(unpooling_graph())
    array = random_input(view)
    assert computed(view) == ["pooled", "positive", "negative", "output"]
    found = values_of(view, array, computed(view), 1)
    for name, expected in reference_values(view, array, computed(view)).items():
        np.testing.assert_array_equal(found[name], expected)


def test_a_tensor_of_unknown_shape_is_refused_by_name() -> None:
    model = unpooling_graph()
    model.graph.node[1].op_type, model.graph.node[1].domain = "Mystery", "of.mine"
    model.opset_import.append(helper.make_opsetid("of.mine", 1))
    with pytest.raises(CalibrationError, match="the shape of positive is not known"):
        cut(GraphView(model), ["positive"])
