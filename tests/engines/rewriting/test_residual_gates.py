from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.residual_gates import RESIDUAL_GATES
from tests.engines.lowering.lowering_graphs import graph, node, operators, picture, weights
from tests.engines.rewriting.rewriting_graphs_b import assert_same_values, compiled, half_error, rewritten

SHAPE = (2, 3, 6, 5)
GATES = [(2, 3, 1, 1), (1, 1, 6, 5), (3, 1, 1), (1,), (), SHAPE]
"""A vector of channels, a plane, constants of fewer axes, and a map."""


def residual(gates: list[tuple[int, ...]], flips: list[bool], *, uses: bool = False) -> onnx.ModelProto:
    """Return relu(image) plus its product with each gate in turn; flips exchange inputs; uses: each has one more."""
    nodes, last = [node("Relu", ["image"], "x")], "x"
    for number in range(len(gates)):
        sides = [last, f"g{number}"]
        nodes.append(node("Mul", sides[:: -1 if flips[number] else 1], f"p{number}"))
        last = f"p{number}"
    nodes.append(node("Add", ["x", last][:: -1 if flips[-1] else 1], "sum"))
    kept = [f"p{number}" for number in range(len(gates) - 1)] if uses else []
    nodes.append(node("Sum", ["sum", *kept], "output"))
    constants: dict[str, Any] = {f"g{number}": weights(1, *shape).reshape(shape) for number, shape in enumerate(gates)}
    return graph(nodes, SHAPE, **constants)


@settings(deadline=None, max_examples=60)
@given(
    gates=st.lists(st.sampled_from(GATES), min_size=1, max_size=4),
    flips=st.lists(st.booleans(), min_size=5, max_size=5),
    uses=st.booleans(),
)
def test_a_map_plus_its_gated_self_computes_the_same(
    gates: list[tuple[int, ...]], flips: list[bool], uses: bool
) -> None:
    model = residual(gates, flips, uses=uses)
    changed = rewritten(RESIDUAL_GATES, model)
    if not uses:
        assert operators(changed).count("Mul") == len(gates)
    assert_same_values(model, changed, picture(model), 1e-5)


def test_another_sum_stays() -> None:
    vector = weights(1, 3, 1, 1)
    relu = node("Relu", ["image"], "x")
    others = [
        [relu, node("Mul", ["x", "g"], "p"), node("Sub", ["x", "p"], "output")],
        [relu, node("Mul", ["x", "g"], "p"), node("Add", ["image", "p"], "output")],
        [relu, node("Add", ["x", "g"], "p"), node("Add", ["x", "p"], "output")],
        [relu, node("Mul", ["x", "g"], "p"), node("Add", ["x", "p"], "q"), node("Mul", ["p", "q"], "output")],
    ]
    for nodes in others:
        model = graph(nodes, SHAPE, g=vector)
        assert RESIDUAL_GATES.rewrite(model) is model
    wider = [node("Mul", ["image", "g"], "p"), node("Add", ["image", "p"], "output")]
    model = graph(wider, (1, 3, 1, 1), result=SHAPE, g=weights(*SHAPE))
    assert RESIDUAL_GATES.rewrite(model) is model


def attention() -> onnx.ModelProto:
    """Channel and spatial attention around a convolution's result."""
    nodes = [
        node("Conv", ["image", "w"], "c", kernel_shape=[3, 3], pads=[1] * 4),
        node("Relu", ["c"], "x"),
        node("ReduceMean", ["x"], "m", axes=[2, 3]),
        node("Sigmoid", ["m"], "s"),
        node("Mul", ["x", "s"], "y"),
        node("Conv", ["y", "v"], "d", kernel_shape=[3, 3], pads=[1] * 4),
        node("Sigmoid", ["d"], "g"),
        node("Mul", ["y", "g"], "z"),
        node("Add", ["x", "z"], "a"),
        node("Conv", ["a", "w"], "output", kernel_shape=[3, 3], pads=[1] * 4),
    ]
    return graph(nodes, (1, 64, 64, 128), w=weights(64, 64, 3, 3), v=weights(1, 64, 3, 3))


def test_fp16_errs_no_more() -> None:
    model = attention()
    image = np.abs(picture(model))
    errors = [half_error(model, each, image) for each in (model, rewritten(RESIDUAL_GATES, model))]
    assert errors[1] <= 1.2 * errors[0]


def test_the_compiler_reads_fewer_bytes() -> None:
    model = attention()
    before, after = compiled(model), compiled(rewritten(RESIDUAL_GATES, model))
    assert after.kernels <= before.kernels
    assert after.bytes < before.bytes
