from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.product_order import PRODUCT_ORDER
from tests.engines.lowering.lowering_graphs import graph, node, operators, picture, weights
from tests.engines.rewriting.rewriting_graphs_b import assert_same_values, compiled, half_error, rewritten

SHAPE = (2, 3, 6, 5)
SIZES = [SHAPE, (2, 3, 1, 1), (1, 1, 6, 5), (3, 1, 1), ()]


def product(shapes: list[tuple[int, ...]]) -> onnx.ModelProto:
    """Return image times each in turn, a constant of that shape."""
    names = ["image", *(f"p{number}" for number in range(1, len(shapes))), "output"]
    nodes = [node("Mul", [before, f"f{number}"], after) for number, (before, after) in enumerate(zip(names, names[1:]))]
    constants: dict[str, Any] = {f"f{number}": weights(1, *shape).reshape(shape) for number, shape in enumerate(shapes)}
    return graph(nodes, SHAPE, **constants)


@settings(deadline=None, max_examples=60)
@given(shapes=st.lists(st.sampled_from(SIZES), min_size=2, max_size=5))
def test_maps_are_multiplied_first_and_the_product_is_the_same(shapes: list[tuple[int, ...]]) -> None:
    model = product(shapes)
    changed = PRODUCT_ORDER.rewrite(model)
    onnx.checker.check_model(changed, full_check=True)
    is_map = [shape == SHAPE for shape in shapes]
    assert (changed is not model) == (is_map != sorted(is_map, reverse=True))
    assert PRODUCT_ORDER.rewrite(changed) is changed
    assert operators(changed) == ["Mul"] * len(shapes)
    assert_same_values(model, changed, picture(model), 1e-5)


def test_a_product_of_two_gated_maps_is_gated_afterwards() -> None:
    nodes = [
        node("Relu", ["image"], "r"),
        node("Mul", ["s", "r"], "a"),
        node("Mul", ["image", "t"], "b"),
        node("Mul", ["a", "b"], "output"),
    ]
    model = graph(nodes, SHAPE, s=weights(1, 3, 1, 1), t=weights(1, 1, 6, 5))
    changed = rewritten(PRODUCT_ORDER, model)
    assert [list(entry.input) for entry in changed.graph.node[1:2]] == [["r", "image"]]
    assert_same_values(model, changed, picture(model), 1e-5)


def test_a_gated_map_of_another_use_stays() -> None:
    nodes = [
        node("Mul", ["image", "s"], "a"),
        node("Mul", ["a", "m"], "b"),
        node("Add", ["a", "b"], "output"),
    ]
    model = graph(nodes, SHAPE, s=weights(1, 3, 1, 1), m=weights(*SHAPE))
    assert PRODUCT_ORDER.rewrite(model) is model


def gated() -> onnx.ModelProto:
    """One convolution's result, gated by its mean, times another's, plus the product of two more."""
    nodes = [
        *(
            entry
            for name in "rlth"
            for entry in (
                node("Conv", ["image", "w"], f"c{name}", kernel_shape=[3, 3], pads=[1] * 4),
                node("Relu", [f"c{name}"], name),
            )
        ),
        node("ReduceMean", ["r"], "m", axes=[2, 3]),
        node("Sigmoid", ["m"], "s"),
        node("Mul", ["r", "s"], "a"),
        node("Mul", ["a", "l"], "p"),
        node("Mul", ["t", "h"], "q"),
        node("Add", ["q", "p"], "sum"),
        node("Conv", ["sum", "w"], "output", kernel_shape=[3, 3], pads=[1] * 4),
    ]
    return graph(nodes, (1, 64, 64, 128), w=weights(64, 64, 3, 3))


def test_fp16_errs_no_more() -> None:
    model = gated()
    image = np.abs(picture(model))
    errors = [half_error(model, each, image) for each in (model, rewritten(PRODUCT_ORDER, model))]
    assert errors[1] <= 1.2 * errors[0]


def test_the_compiler_moves_a_map_less() -> None:
    model = gated()
    before, after = compiled(model), compiled(rewritten(PRODUCT_ORDER, model))
    assert after.kernels <= before.kernels
    assert after.bytes < before.bytes


def test_a_long_chain_of_products_is_ordered_too() -> None:
    model = product([*[(1, 1, 6, 5)] * 1200, SHAPE])
    assert operators(rewritten(PRODUCT_ORDER, model)) == ["Mul"] * 1201
