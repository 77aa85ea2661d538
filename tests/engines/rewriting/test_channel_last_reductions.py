from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.channel_last_reductions import (
    CHANNEL_REDUCTIONS,
    GLOBAL_REDUCTIONS,
    IN_ONE_STEP,
    PARTS,
    STRIP_REDUCTIONS,
)
from rtseg.engines.rewriting.graph_pass import GraphPass
from tests.engines.lowering.lowering_graphs import graph, node, operators, picture, weights
from tests.engines.rewriting.rewriting_graphs_a import Written
from tests.engines.rewriting.rewriting_graphs_b import assert_same_values, compiled, half_error, rewritten

PASSES = {(2, 3): GLOBAL_REDUCTIONS, (2,): STRIP_REDUCTIONS, (3,): STRIP_REDUCTIONS, (1,): CHANNEL_REDUCTIONS}
KINDS = ["ReduceMean", "ReduceMax", "ReduceMin"]


def reduced(shape: tuple[int, ...], axes: tuple[int, ...], *kinds: str, keepdims: int = 1) -> onnx.ModelProto:
    """The sum of several reductions of the picture."""
    sides = [1 if axis in axes else side for axis, side in enumerate(shape) if keepdims or axis not in axes]
    nodes = [
        node(
            kind, ["image"], f"r{place}", **({} if kind.startswith("Global") else {"axes": axes, "keepdims": keepdims})
        )
        for place, kind in enumerate(kinds)
    ]
    nodes.append(node("Sum", [f"r{place}" for place in range(len(kinds))], "output"))
    return graph(nodes, shape, result=tuple(sides))


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 8), st.integers(1, 8)),
    axes=st.sampled_from(sorted(PASSES)),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    keepdims=st.booleans(),
    count_backwards=st.booleans(),
)
def test_reductions_compute_the_same(
    shape: tuple[int, ...], axes: tuple[int, ...], kinds: list[str], keepdims: bool, count_backwards: bool
) -> None:
    model = reduced(shape, axes, *kinds, keepdims=int(keepdims))
    if count_backwards:
        for entry in model.graph.node[:-1]:
            entry.attribute[0].CopyFrom(onnx.helper.make_attribute("axes", [axis - 4 for axis in axes]))
    changed = rewritten(PASSES[axes], model)
    assert_same_values(model, changed, picture(model), 1e-5)


@pytest.mark.parametrize("size", [(64, 96), (45, 49), (1, 2053)])  # 64 parts, 63, and none of more than one value
def test_a_large_map_is_reduced_in_two_steps_where_parts_fit(size: tuple[int, int]) -> None:
    model = reduced((2, 3, *size), (2, 3), "GlobalAveragePool", "GlobalMaxPool")
    changed = rewritten(GLOBAL_REDUCTIONS, model)
    assert np.prod(size) > IN_ONE_STEP
    fits = any(np.prod(size) % parts == 0 for parts in range(2, PARTS + 1))
    assert sum(name.startswith("Reduce") for name in operators(changed)) == (4 if fits else 2)
    assert_same_values(model, changed, picture(model), 1e-5)


@pytest.mark.parametrize("graph_pass", [GLOBAL_REDUCTIONS, STRIP_REDUCTIONS, CHANNEL_REDUCTIONS])
def test_what_is_on_the_view_already_stays(graph_pass: GraphPass) -> None:
    for axes in PASSES:
        changed = rewritten(PASSES[axes], reduced((1, 3, 64, 64), axes, "ReduceMean", "ReduceMax"))
        assert graph_pass.rewrite(changed) is changed


def test_reductions_over_other_axes_stay() -> None:
    batch = reduced((2, 3, 4, 4), (0,), "ReduceMean")
    most = reduced((2, 3, 4, 4), (1, 2, 3), "ReduceMean")
    rows = reduced((3, 4, 4), (1,), "ReduceMean")
    norms = reduced((2, 3, 4, 4), (1,), "ReduceL2")
    for model in (batch, most, rows, norms):
        for graph_pass in PASSES.values():
            assert graph_pass.rewrite(model) is model


def test_fp16_errs_no_more() -> None:
    shape = (1, 8, 64, 128)
    nodes = [
        node("Conv", ["image", "w"], "x", kernel_shape=[1, 1]),
        node("ReduceMean", ["x"], "mean", axes=[2, 3]),
        node("ReduceMax", ["x"], "most", axes=[2, 3]),
        node("Concat", ["mean", "most"], "output", axis=1),
    ]
    model = graph(nodes, shape, result=(1, 16, 1, 1), w=weights(8, 8, 1, 1))
    image = picture(model) + np.float32(1)
    errors = [half_error(model, each, image) for each in (model, rewritten(GLOBAL_REDUCTIONS, model))]
    assert errors[1] <= 1.2 * errors[0]


def attention(axes: tuple[int, ...]) -> onnx.ModelProto:
    """A convolution's result times the sum of its mean and its maximum."""
    nodes = [
        node("Conv", ["image", "w"], "c", kernel_shape=[3, 3], pads=[1] * 4),
        node("Relu", ["c"], "x"),
        node("ReduceMean", ["x"], "mean", axes=axes),
        node("ReduceMax", ["x"], "most", axes=axes),
        node("Add", ["mean", "most"], "sum"),
        node("Mul", ["x", "sum"], "output"),
    ]
    return graph(nodes, (1, 64, 128, 256), w=weights(64, 64, 3, 3))


@pytest.mark.parametrize("axes", [(2, 3), (2,)])
def test_the_compiler_needs_less_for_a_mean_and_a_maximum(axes: tuple[int, ...]) -> None:
    model = attention(axes)
    before, after = compiled(model), compiled(rewritten(PASSES[axes], model))
    assert after.kernels <= before.kernels
    assert after.bytes < 0.95 * before.bytes


def test_the_compiler_reads_a_gated_map_once_for_both_reductions_over_its_channels() -> None:
    nodes = [
        node("Conv", ["image", "w"], "c", kernel_shape=[3, 3], pads=[1] * 4),
        node("Relu", ["c"], "x"),
        node("Mul", ["x", "gate"], "y"),
        node("ReduceMean", ["y"], "mean", axes=[1]),
        node("ReduceMax", ["y"], "most", axes=[1]),
        node("Concat", ["most", "mean"], "both", axis=1),
        node("Conv", ["both", "v"], "s", kernel_shape=[3, 3], pads=[1] * 4),
        node("Sigmoid", ["s"], "spatial"),
        node("Mul", ["y", "spatial"], "z"),
        node("Add", ["x", "z"], "a"),
        node("Conv", ["a", "w"], "output", kernel_shape=[3, 3], pads=[1] * 4),
    ]
    gate = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 64, 1, 1)
    model = graph(nodes, (1, 64, 128, 256), w=weights(64, 64, 3, 3), v=weights(1, 2, 3, 3), gate=gate)
    before, after = compiled(model), compiled(rewritten(CHANNEL_REDUCTIONS, model))
    assert after.kernels <= before.kernels
    assert after.bytes < before.bytes


def test_a_map_of_unknown_sides_stays() -> None:
    g = Written((1, 3, 6, 5))
    sizes = g.op("Cast", g.op("Ceil", g.constant(np.array([1.0, 3.0, 6.0, 5.0]))), to=onnx.TensorProto.INT64)
    result = g.op("ReduceMean", g.op("Reshape", "image", sizes), axes=[1])
    model = g.model(g.op("Reshape", result, g.constant(np.array([1, 1, 6, 5]))))
    assert CHANNEL_REDUCTIONS.rewrite(model) is model
