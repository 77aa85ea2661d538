"""Which tensors hold no negative number."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.nonnegative import is_nonnegative
from rtseg.graphs.view import GraphView
from tests.engines.rewriting.rewriting_graphs_a import Written, ran

STEPS = ("Relu", "Sigmoid", "Neg", "Abs", "add", "one", "pool", "resize", "cubic", "clip", "low", "max", "twice", "pad")


def stepped(steps: list[str]) -> tuple[Written, str]:
    g = Written((1, 2, 6, 6))
    tensor = "image"
    for step in steps:
        if step[0].isupper():
            tensor = g.op(step, tensor)
        elif step in ("add", "one"):
            tensor = g.op("Add", tensor, g.constant(-0.3 if step == "add" else 1.0))
        elif step == "pool":
            tensor = g.op("AveragePool", tensor, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        elif step in ("resize", "cubic"):
            tensor = g.resize(tensor, 1.5, mode="linear" if step == "resize" else "cubic")
        elif step in ("clip", "low"):
            tensor = g.op("Clip", tensor, g.constant(0.0 if step == "clip" else -1.0), g.constant(6.0))
        elif step == "max":
            tensor = g.op("Max", tensor, g.constant(0.1))
        elif step == "twice":
            tensor = g.op("Concat", tensor, g.op("Mul", tensor, tensor), axis=1)
        else:
            tensor = g.op("Pad", tensor, g.constant([0, 0, 1, 1, 0, 0, 1, 1]), g.constant(-0.2))
    return g, tensor


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=5))
def test_what_is_proven_holds_no_negative_number(steps: list[str]) -> None:
    g, tensor = stepped(steps)
    model = g.model(tensor)
    if is_nonnegative(GraphView(model), tensor):
        assert ran(model).min() >= 0


@pytest.mark.parametrize(
    "steps", [["Relu"], ["Relu", "pool", "resize"], ["Sigmoid", "twice"], ["clip", "one"], ["Neg", "max", "resize"]]
)
def test_the_usual_chains_are_proven(steps: list[str]) -> None:
    g, tensor = stepped(steps)
    assert is_nonnegative(GraphView(g.model(tensor)), tensor)


@pytest.mark.parametrize("steps", [["resize"], ["Relu", "add"], ["Relu", "cubic"], ["low"], ["Relu", "pad"]])
def test_the_rest_is_not(steps: list[str]) -> None:
    g, tensor = stepped(steps)
    assert not is_nonnegative(GraphView(g.model(tensor)), tensor)
