"""How a plan is carried out, where the rules have nothing to say about it."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from rtseg.graphs.view import GraphView
from tests.quantization.small_graphs import TARGETS, Sketch, images, placed, quantized, ran, relative_error, session


def shared_weight() -> onnx.ModelProto:
    """Two convolutions with one weight, over the image and over what the first gives; a head."""
    sketch = Sketch()
    sketch.relu("active", sketch.conv("one", "image", bias=False))
    sketch.apply("Conv", "two", "active", "one.weight", pads=[1, 1, 1, 1])
    return sketch.model(sketch.conv("head", "two", 11, 1))


@pytest.mark.parametrize("target", TARGETS)
def test_a_weight_of_two_convolutions_is_quantised_once(target: str) -> None:
    result = quantized(shared_weight(), target)
    first, second = (node for node in result.graph.node if node.name in ("/one", "/two"))
    assert first.input[1] == second.input[1] == "one.weight_dequantized"
    assert [node.output[0] for node in result.graph.node].count("one.weight_dequantized") == 1


@pytest.mark.parametrize("target", TARGETS)
def test_a_weight_that_an_excluded_convolution_reads_too_stays_for_it(target: str) -> None:
    result = quantized(shared_weight(), target, excluded=["two"])
    two = next(node for node in result.graph.node if node.name == "/two")
    assert two.input[1] == "one.weight"
    session(result)


@pytest.mark.parametrize("target", TARGETS)
def test_constants_that_nothing_reads_any_more_are_gone(target: str) -> None:
    model = shared_weight()
    weights = list(model.graph.initializer)
    del model.graph.initializer[:]
    nodes = [helper.make_node("Constant", [], [entry.name], value=entry) for entry in weights]
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    result = quantized(model, target)
    read = {name for node in result.graph.node for name in node.input}
    assert {node.output[0] for node in result.graph.node if node.op_type == "Constant"} <= read
    assert {entry.name for entry in result.graph.initializer} <= read


def test_the_model_that_was_given_is_not_changed() -> None:
    model = shared_weight()
    quantized(model)
    assert model == shared_weight()


def test_what_the_model_carries_besides_its_graph_stays() -> None:
    model = shared_weight()
    helper.set_model_props(model, {"rtseg.image": "the contract"})
    assert {entry.key: entry.value for entry in quantized(model).metadata_props} == {"rtseg.image": "the contract"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_convolution_without_bias_is_given_none(target: str) -> None:
    result = quantized(shared_weight(), target)
    assert len(next(node for node in result.graph.node if node.name == "/one").input) == 2


def test_all_targets_compute_nearly_the_same() -> None:
    model = shared_weight()
    [image] = images(model)
    expected = ran(model, image)
    for target in TARGETS:
        assert relative_error(ran(quantized(model, target), image), expected) < 0.03, target
    assert placed(model).weights - placed(model, "onnxruntime").weights == {"/head"}


@pytest.mark.parametrize("target", TARGETS)
def test_optimised_or_not_onnx_runtime_computes_what_the_file_says(target: str) -> None:
    # Fused into INT8 kernels a value may round to the neighbouring step, no further.
    model = quantized(shared_weight(), target)
    [image] = images(model)
    assert relative_error(ran(model, image), ran(model, image, optimized=False)) < 0.01


def test_every_pair_names_the_tensor_it_stands_for() -> None:
    view = GraphView(quantized(shared_weight()))
    pairs = {node.input[0]: node.name for node in view.nodes if node.op_type == "QuantizeLinear"}
    assert pairs == {name: f"{name}_QuantizeLinear" for name in ("image", "one.weight", "active", "two", "head.weight")}
