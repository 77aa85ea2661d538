"""ONNX Runtime rounds the result of every operator to FP16 where the graph makes it."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.quantization.fp16_rounding import every_operator_rounded
from tests.engines.rewriting.rewriting_graphs_a import Written
from tests.engines.rewriting.rewriting_graphs_b import ran_as_it_is


def square_of_scaled() -> onnx.ModelProto:
    """Return (1e-3 x)^2 * 1e3, each a product of its own."""
    g = Written((1, 1, 1, 8), half=True)
    scaled = g.op("Mul", "image", g.constant(1e-3))
    return g.model(g.op("Mul", g.op("Mul", scaled, scaled), g.constant(1e3)))


@settings(max_examples=50, deadline=None)
@given(numbers=st.lists(st.floats(-65504, 65504, width=16), min_size=8, max_size=8))
def test_each_product_is_rounded_as_numpy_rounds_it(numbers: list[float]) -> None:
    image = np.array(numbers, np.float16).reshape(1, 1, 1, 8)
    with np.errstate(over="ignore", under="ignore"):
        scaled = image * np.float16(1e-3)
        expected = scaled * scaled * np.float16(1e3)
    np.testing.assert_array_equal(ran_as_it_is(every_operator_rounded(square_of_scaled()), image), expected)


def test_what_is_too_large_between_two_operators_is_infinite() -> None:
    g = Written((1, 1, 1, 2), half=True)
    model = g.model(g.op("Mul", g.op("Mul", "image", g.constant(300.0)), g.constant(1e-3)))
    image = np.array([1000, -1000], np.float16).reshape(1, 1, 1, 2)
    assert np.isfinite(ran_as_it_is(model, image)).all(), "why every_operator_rounded is needed"
    rounded = ran_as_it_is(every_operator_rounded(model), image)
    assert rounded.ravel().tolist() == [np.inf, -np.inf]


def test_tensors_keep_their_names_and_the_graph_is_valid() -> None:
    model = square_of_scaled()
    rounded = every_operator_rounded(model)
    onnx.checker.check_model(rounded, full_check=True)
    made = {name for node in rounded.graph.node for name in node.output}
    assert made >= {name for node in model.graph.node for name in node.output}
