from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.graphs.change import GraphChange
from tests.engines.lowering.lowering_graphs import graph, node, picture, ran


def chain(length: int) -> onnx.ModelProto:
    """image -> t1 -> ... -> output, each the square of the one before it plus the image."""
    names = ["image", *(f"t{place}" for place in range(1, length)), "output"]
    nodes = []
    for place, (source, made) in enumerate(zip(names, names[1:])):
        nodes += [node("Tanh", [source], f"s{place}"), node("Add", [f"s{place}", "image"], made)]
    return graph(nodes)


def test_a_graph_without_a_definition_comes_back_itself() -> None:
    model = chain(2)
    assert GraphChange(model).result() is model


def test_a_definition_takes_the_place_of_the_operator_and_of_what_only_it_read() -> None:
    model = graph([node("Neg", ["image"], "a"), node("Neg", ["a"], "b"), node("Relu", ["b"], "output")])
    change = GraphChange(model)
    change.define("output", "Relu", ["image"])
    changed = change.result()
    assert [entry.op_type for entry in changed.graph.node] == ["Relu"]
    assert [entry.op_type for entry in model.graph.node] == ["Neg", "Neg", "Relu"], "the model is left alone"
    assert np.array_equal(ran(changed, picture(model)), ran(model, picture(model)))


@given(st.lists(st.integers(0, 5), min_size=1, unique=True))
def test_definitions_hold_together_whatever_their_order(places: list[int]) -> None:
    model = chain(6)
    change = GraphChange(model)
    for place in places:
        made = f"t{place + 1}" if place < 5 else "output"
        change.define(made, "Add", [change.add("Identity", ["image"], "copy"), f"s{place}"])
    changed = change.result()
    onnx.checker.check_model(changed, full_check=True)
    assert np.array_equal(ran(changed, picture(model)), ran(model, picture(model)))


def test_names_that_are_taken_get_a_number() -> None:
    change = GraphChange(chain(1))
    assert change.constant("image", np.zeros(1, np.float32)) == "image.1"
    assert change.add("Neg", ["image"], "image") == "image.2"


def test_a_constant_that_nothing_reads_is_left_out() -> None:
    change = GraphChange(chain(1))
    change.constant("unused", np.zeros(1, np.float32))
    zero = change.constant("zero", np.zeros(1, np.float32))
    change.define("output", "Add", ["s0", change.add("Add", ["image", zero], "sum")])
    assert [entry.name for entry in change.result().graph.initializer] == ["zero"]


def test_an_operator_with_several_outputs_keeps_those_that_are_not_defined_anew() -> None:
    halves = onnx.helper.make_node("Split", ["image"], ["left", "right"], "/split", axis=1)
    model = graph([halves, node("Concat", ["left", "right"], "output", axis=1)])
    change = GraphChange(model)
    bounds = [change.constant(name, np.array([value])) for name, value in (("from", 0), ("to", 2), ("axis", 1))]
    change.define("left", "Slice", ["image", *bounds])
    changed = change.result()
    onnx.checker.check_model(changed, full_check=True)
    assert np.array_equal(ran(changed, picture(model)), ran(model, picture(model)))


def test_whether_a_tensor_has_a_definition_is_known() -> None:
    change = GraphChange(chain(1))
    assert not change.is_defined("output")
    change.define("output", "Add", ["s0", "image"])
    assert change.is_defined("output")


@pytest.mark.parametrize("length", [3000])
def test_a_long_graph_is_put_in_order_without_recursion(length: int) -> None:
    change = GraphChange(chain(length))
    change.define("output", "Add", ["image", f"s{length - 1}"])
    assert len(change.result().graph.node) == 2 * length
