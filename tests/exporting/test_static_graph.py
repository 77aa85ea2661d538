"""The static graph: what no output depends on is gone, however much of it there is."""

from __future__ import annotations

import random

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from rtseg.exporting.static_graph import static_copy
from rtseg.frame.protocol import TensorSpec

RESULT = TensorSpec("y", (1, 3, 4, 4), "float32")


def model_of(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in "xy"]
    return helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 17)]
    )


def chain(source: str, result: str, count: int) -> list[onnx.NodeProto]:
    names = [source, *(f"{result}_{index}" for index in range(count - 1)), result]
    return [helper.make_node("Relu", [before], [after]) for before, after in zip(names, names[1:])]


@pytest.mark.parametrize("dead", ["one chain", "single nodes", "identities"])
def test_thousands_of_dead_nodes_are_gone(dead: str) -> None:
    kinds = {
        "one chain": lambda count: chain("x", "d", count),
        "single nodes": lambda count: [helper.make_node("Relu", ["x"], [f"d{index}"]) for index in range(count)],
        "identities": lambda count: [helper.make_node("Identity", ["x"], [f"d{index}"]) for index in range(count)],
    }
    ready = static_copy(model_of([*chain("x", "y", 2), *kinds[dead](8000)]), RESULT, {})
    assert [node.op_type for node in ready.graph.node] == ["Relu", "Relu"]


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_what_is_left_is_what_the_output_depends_on(seed: int, count: int) -> None:
    chance = random.Random(seed)
    made, nodes = ["x"], []
    for index in range(count):
        name = "y" if index == count - 1 else f"t{index}"
        nodes.append(helper.make_node("Sum", chance.sample(made, min(len(made), chance.randint(1, 3))), [name], name))
        made.append(name)
    by_name = {node.name: node for node in nodes}
    needed, waiting = set(), ["y"]
    while waiting:
        node = by_name.get(waiting.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            waiting += node.input
    left = static_copy(model_of(nodes), RESULT, {}).graph.node
    assert [node.name for node in left] == [node.name for node in nodes if node.name in needed]


def test_what_a_graph_within_the_graph_reads_stays() -> None:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["t"], ["z"])],
        "b",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 4, 4])],
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["t"]),
        helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    assert [node.op_type for node in static_copy(model_of(nodes), RESULT, {}).graph.node] == ["Neg", "Constant", "If"]
