from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from rtseg.datasets.registry import class_spec
from rtseg.engines.lowering.opset import RAISED_OPSET, REWRITINGS, SAME_MEANING, raised_to_19
from rtseg.errors import OnnxError
from rtseg.exporting.onnx_file import export_onnx
from rtseg.exporting.tensorrt_operators import TENSORRT_8_5_OPERATORS
from rtseg.graphs.canonical import OPSET
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.specs import Resolution
from tests.engines.lowering.lowering_graphs import graph, node, picture, ran, weights

CONTROL_FLOW = {"If", "Loop", "Scan"}
"""Opset 19 lets them carry more types; a graph within the graph has nodes of its own, which no rule here looks at."""


def require_same(model: onnx.ModelProto) -> onnx.ModelProto:
    before = model.SerializeToString()
    raised = raised_to_19(model)
    assert model.SerializeToString() == before
    assert (raised.opset_import[0].version, raised.ir_version) == (19, 9)
    onnx.checker.check_model(raised, full_check=True)
    onnx.shape_inference.infer_shapes(raised, strict_mode=True, check_type=True, data_prop=True)
    array = picture(model)
    expected = ran(model, array)
    # ONNX Runtime has another kernel for AveragePool at opset 19, which adds in another order.
    np.testing.assert_allclose(ran(raised, array), expected, rtol=0, atol=1e-6 * float(np.abs(expected).max()))
    return raised


def changed_operators() -> set[str]:
    """Return the operators that TensorRT 8.5 parses and whose version is another one at opset 19."""
    found = set()
    for name in TENSORRT_8_5_OPERATORS:
        if onnx.defs.has(name, OPSET, ""):
            before, after = (onnx.defs.get_schema(name, opset, "") for opset in (OPSET, RAISED_OPSET))
            if before.since_version != after.since_version:
                found.add(name)
    return found


def test_every_operator_that_changed_has_a_rule_or_is_refused() -> None:
    assert changed_operators() - CONTROL_FLOW == SAME_MEANING | set(REWRITINGS)


@pytest.mark.parametrize("name", sorted(SAME_MEANING))
def test_an_operator_said_to_mean_the_same_lost_nothing(name: str) -> None:
    before, after = (onnx.defs.get_schema(name, opset, "") for opset in (OPSET, RAISED_OPSET))
    assert [entry.name for entry in after.inputs][: len(before.inputs)] == [entry.name for entry in before.inputs]
    assert all(entry.option.name == "Optional" for entry in after.inputs[len(before.inputs) :])
    assert set(before.attributes) <= set(after.attributes)
    assert not any(after.attributes[added].required for added in set(after.attributes) - set(before.attributes))
    for kept in before.attributes:
        assert before.attributes[kept].default_value == after.attributes[kept].default_value


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare"])
def test_the_axes_of_a_reduction_become_an_input(operator: str) -> None:
    raised = require_same(graph([node(operator, ["image"], "output", axes=[2, 3])], result=(1, 4, 1, 1)))
    (reduction,) = raised.graph.node
    assert [entry.name for entry in reduction.attribute] == []
    assert onnx.numpy_helper.to_array(raised.graph.initializer[0]).tolist() == [2, 3]


def test_a_reduction_without_axes_still_reduces_over_all() -> None:
    raised = require_same(graph([node("ReduceMean", ["image"], "output")], result=(1, 1, 1, 1)))
    assert len(raised.graph.node[0].input) == 1


def test_a_split_into_equal_parts_says_how_many() -> None:
    halves = helper.make_node("Split", ["image"], ["a", "b"], axis=1)
    raised = require_same(graph([halves, node("Sub", ["a", "b"], "output")], result=(1, 2, 8, 8)))
    assert {entry.name: entry.i for entry in raised.graph.node[0].attribute} == {"axis": 1, "num_outputs": 2}


def test_a_split_by_sizes_stays_as_it_is() -> None:
    parts = helper.make_node("Split", ["image", "sizes"], ["a", "output"], axis=1)
    raised = require_same(graph([parts], result=(1, 3, 8, 8), sizes=np.array([1, 3])))
    assert [entry.name for entry in raised.graph.node[0].attribute] == ["axis"]


@pytest.mark.parametrize("transformation", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_resize_computes_the_same(mode: str, transformation: str) -> None:
    settings = {"mode": mode, "coordinate_transformation_mode": transformation, "nearest_mode": "floor"}
    resize = node("Resize", ["image", "", "", "sizes"], "output", **settings)
    require_same(graph([resize], result=(1, 4, 19, 5), sizes=np.array([1, 4, 19, 5])))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_a_pad_computes_the_same(mode: str) -> None:
    pad = node("Pad", ["image", "pads", "value"], "output", mode=mode)
    require_same(graph([pad], result=(1, 4, 11, 9), pads=np.array([0, 0, 1, 0, 0, 0, 2, 1]), value=np.float32(2)))


@pytest.mark.parametrize("counted", [0, 1])
def test_an_average_pool_computes_the_same(counted: int) -> None:
    pool = node("AveragePool", ["image"], "output", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=counted)
    require_same(graph([pool]))


def test_an_average_pool_that_rounds_its_size_up_is_refused() -> None:
    pool = node("AveragePool", ["image"], "output", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    with pytest.raises(OnnxError, match="/output rounds its size up"):
        raised_to_19(graph([pool], result=(1, 4, 4, 4)))


def test_quantizers_compute_the_same() -> None:
    nodes = [
        node("QuantizeLinear", ["image", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "output"),
    ]
    require_same(graph(nodes, s=np.float32(0.03), z=np.int8(0)))


def test_an_operator_that_no_rule_covers_is_refused() -> None:
    made = helper.make_graph([], "b", [], [])
    model = graph([node("Relu", ["image"], "output")])
    model.graph.node[0].op_type = "Loop"
    model.graph.node[0].attribute.append(helper.make_attribute("body", made))
    with pytest.raises(OnnxError, match="/output cannot be raised to opset 19; got Loop"):
        raised_to_19(model)


def test_an_operator_of_nobody_is_refused() -> None:
    model = graph([node("Relu", ["image"], "output")])
    model.graph.node[0].op_type = "Unheard"
    with pytest.raises(OnnxError, match="got Unheard"):
        raised_to_19(model)


def test_another_opset_is_refused() -> None:
    model = graph([node("Relu", ["image"], "output")])
    with pytest.raises(OnnxError, match=r"got \{'ai.onnx': 19\}; expected \{'ai.onnx': 17\}"):
        raised_to_19(raised_to_19(model))


def held_to_the_same(name: str, folder: Path) -> None:
    network = network_with_random_weights(name, class_spec("camvid"), seed=1)
    export_onnx(network, Resolution(64, 64), folder / "network.onnx", interface="scores")
    require_same(onnx.load(folder / "network.onnx"))


@pytest.mark.parametrize("name", ["affnet", "enet"])
def test_a_network_computes_the_same(name: str, tmp_path: Path) -> None:
    held_to_the_same(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", network_names())
def test_every_network_computes_the_same(name: str, tmp_path: Path) -> None:
    held_to_the_same(name, tmp_path)


def test_constants_of_weights_are_carried_along() -> None:
    conv = node("Conv", ["image", "w"], "output", kernel_shape=[1, 1])
    raised = require_same(graph([conv], w=weights(4, 4, 1, 1)))
    assert [entry.name for entry in raised.graph.initializer] == ["w"]
