"""The same graph is the same graph whoever wrote the file, and another one is another one."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.graphs.identity import structure_sha256
from rtseg.graphs.view import GraphView


def made(
    *,
    operator: str = "Relu",
    name: str = "active",
    pads: tuple[int, ...] = (1, 1, 1, 1),
    outputs: int = 2,
    height: int = 4,
    factor: int = 2,
    weights: float = 1.0,
    weight_name: str = "weight",
) -> onnx.ModelProto:
    """image -> Conv -> an activation -> Resize -> output."""
    border = sum(pads) // 2 - 2
    sizes = np.array([1, outputs, (height + border) * factor, (6 + border) * factor], np.int64)
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, height, 6)),
        helper.make_tensor_value_info("output", TensorProto.FLOAT, sizes.tolist()),
    ]
    nodes = [
        helper.make_node("Conv", ["image", weight_name], ["convolved"], name="/conv", pads=pads),
        helper.make_node(operator, ["convolved"], [name], name="/act"),
        helper.make_node("Resize", [name, "", "", "sizes"], ["output"], name="/up", mode="linear"),
    ]
    constants = [
        numpy_helper.from_array(np.full((outputs, 3, 3, 3), weights, np.float32), weight_name),
        numpy_helper.from_array(sizes, "sizes"),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def with_constant_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], [entry.name], value=entry) for entry in model.graph.initializer]
    del model.graph.initializer[:]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    return model


def by_another_producer(model: onnx.ModelProto) -> onnx.ModelProto:
    model.producer_name, model.producer_version, model.graph.name = "pytorch", "9.9", "main_graph"
    helper.set_model_props(model, {"rtseg.image": "{}"})
    return model


def with_attributes_turned_round(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.node[0].attribute.append(helper.make_attribute("group", 1))
    model.graph.node[0].attribute.reverse()
    return model


SAME: dict[str, Callable[[], onnx.ModelProto]] = {
    "written and read": lambda: onnx.load_from_string(made().SerializeToString()),
    "another producer": lambda: by_another_producer(made()),
    "other weights": lambda: made(weights=0.5),
    "another name of a weight": lambda: made(weight_name="conv.weight"),
    "constants as nodes": lambda: with_constant_nodes(made()),
}

OTHER: dict[str, dict[str, Any]] = {
    "operator": {"operator": "Sigmoid"},
    "name of a tensor": {"name": "relu"},
    "attribute": {"pads": (0, 0, 0, 0)},
    "shape of a weight": {"outputs": 5},
    "size of the picture": {"height": 8},
    "size within the graph": {"factor": 4},
}


@pytest.mark.parametrize("how", SAME)
def test_the_digest_stays(how: str) -> None:
    assert structure_sha256(GraphView(SAME[how]())) == structure_sha256(GraphView(made()))


@pytest.mark.parametrize("what", OTHER)
def test_the_digest_tells_another(what: str) -> None:
    assert structure_sha256(GraphView(made(**OTHER[what]))) != structure_sha256(GraphView(made()))


def test_the_order_in_which_attributes_are_written_does_not_matter() -> None:
    ordered = made()
    ordered.graph.node[0].attribute.append(helper.make_attribute("group", 1))
    assert structure_sha256(GraphView(with_attributes_turned_round(made()))) == structure_sha256(GraphView(ordered))


def test_a_fully_convolutional_graph_of_another_picture_size_is_another_graph() -> None:
    def convolved(side: int) -> onnx.ModelProto:
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 1, side, side)) for n in ("image", "output")]
        return helper.make_model(
            helper.make_graph([helper.make_node("Relu", ["image"], ["output"])], "g", ends[:1], ends[1:])
        )

    assert structure_sha256(GraphView(convolved(8))) != structure_sha256(GraphView(convolved(16)))
