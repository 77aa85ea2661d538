from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.nested_reductions import NESTED_REDUCTIONS
from rtseg.graphs.view import attribute
from rtseg.quantization.fp16 import to_fp16
from tests.engines.lowering.lowering_graphs import graph, node, picture, weights
from tests.engines.rewriting.rewriting_graphs_a import Written
from tests.engines.rewriting.rewriting_graphs_b import assert_same_values, compiled, half_error, rewritten

SHAPE = (2, 3, 6, 5)


def two(
    wide: tuple[int, ...], narrow: tuple[int, ...], kinds: tuple[str, str], keepdims: tuple[int, int] = (1, 1)
) -> onnx.ModelProto:
    """The product of two reductions of the picture, both brought to its rank."""
    nodes = []
    for name, axes, kind, kept in zip("ab", (wide, narrow), kinds, keepdims):
        nodes.append(node(kind, ["image"], name, axes=axes, keepdims=kept))
        nodes.append(node("Reshape", [name, f"{name}_sizes"], f"{name}_kept"))
    sizes: dict[str, Any] = {
        f"{name}_sizes": np.array([1 if axis in axes else side for axis, side in enumerate(SHAPE)])
        for name, axes in zip("ab", (wide, narrow))
    }
    result = tuple(1 if axis in set(wide) & set(narrow) else side for axis, side in enumerate(SHAPE))
    return graph([*nodes, node("Mul", ["a_kept", "b_kept"], "output")], SHAPE, result=result, **sizes)


@settings(deadline=None, max_examples=60)
@given(
    wide=st.sets(st.integers(1, 3), min_size=1),
    narrow=st.sets(st.integers(1, 3), min_size=1),
    kind=st.sampled_from(["ReduceMean", "ReduceMax", "ReduceMin"]),
    keepdims=st.integers(0, 1),
    order=st.booleans(),
)
def test_a_reduction_over_more_axes_reads_the_one_over_fewer(
    wide: set[int], narrow: set[int], kind: str, keepdims: int, order: bool
) -> None:
    model = two(tuple(wide), tuple(narrow), (kind, kind), (keepdims, 1))
    if order:
        entries = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*entries[2:4], *entries[:2], entries[4]])
    changed = NESTED_REDUCTIONS.rewrite(model)
    assert (changed is not model) == (narrow < wide or (wide < narrow and keepdims == 1))
    onnx.checker.check_model(changed, full_check=True)
    assert_same_values(model, changed, picture(model), 1e-5)


def test_the_nearest_of_three_is_read() -> None:
    nodes = [
        node("ReduceMean", ["image"], "all", axes=[1, 2, 3]),
        node("ReduceMean", ["image"], "rows", axes=[-2]),
        node("ReduceMean", ["image"], "space", axes=[2, 3]),
        node("Sum", ["all", "rows", "space"], "output"),
    ]
    model = graph(nodes, SHAPE, result=(2, 3, 1, 5))
    changed = rewritten(NESTED_REDUCTIONS, model)
    read = {entry.output[0]: (entry.input[0], attribute(entry, "axes", [])) for entry in changed.graph.node[:-1]}
    assert read == {"rows": ("image", [-2]), "space": ("rows", [3]), "all": ("space", [1])}
    assert_same_values(model, changed, picture(model), 1e-5)


def test_another_pair_of_reductions_stays() -> None:
    for model in (
        two((2, 3), (2,), ("ReduceMean", "ReduceMax")),
        two((2, 3), (2,), ("ReduceL2", "ReduceL2")),
        two((2, 3), (2,), ("ReduceMean", "ReduceMean"), (1, 0)),
    ):
        assert NESTED_REDUCTIONS.rewrite(model) is model


def gated(height: int, width: int) -> onnx.ModelProto:
    """A convolution's result times a gate for each column and one for all, each made by a convolution of its mean."""
    nodes = [
        node("Conv", ["image", "w"], "c", kernel_shape=[3, 3], pads=[1] * 4),
        node("Relu", ["c"], "x"),
        node("ReduceMean", ["x"], "rows", axes=[2]),
        node("ReduceMean", ["x"], "space", axes=[2, 3]),
        node("Conv", ["rows", "v"], "strip", kernel_shape=[1, 1]),
        node("Conv", ["space", "v"], "s", kernel_shape=[1, 1]),
        node("Sigmoid", ["s"], "gate"),
        node("Mul", ["x", "strip"], "a"),
        node("Mul", ["x", "gate"], "b"),
        node("Add", ["a", "b"], "d"),
        node("Conv", ["d", "w"], "output", kernel_shape=[3, 3], pads=[1] * 4),
    ]
    return graph(nodes, (1, 64, height, width), w=weights(64, 64, 3, 3), v=weights(64, 64, 1, 1))


def test_fp16_errs_no_more() -> None:
    model = gated(24, 32)
    image = picture(model) + np.float32(1)
    errors = [half_error(model, each, image) for each in (model, rewritten(NESTED_REDUCTIONS, model))]
    assert errors[1] <= 1.2 * errors[0]
    half = to_fp16(model).model
    assert_same_values(half, rewritten(NESTED_REDUCTIONS, half), image, 1e-3)


def test_the_compiler_reads_the_map_once_less() -> None:
    model = gated(128, 256)
    before, after = compiled(model), compiled(rewritten(NESTED_REDUCTIONS, model))
    assert after.kernels < before.kernels
    assert after.bytes < before.bytes


def test_a_map_of_unknown_rank_stays() -> None:
    g = Written((2, 3, 6, 5))
    sizes = g.op("Compress", g.constant(np.array([2, 3, 6, 5])), g.flags(True, True, True, True), axis=0)
    source = g.op("Reshape", "image", sizes)
    reductions = [g.op("ReduceMean", source, axes=axes) for axes in ([2], [2, 3])]
    model = g.model(g.op("Reshape", g.op("Add", *reductions), g.constant(np.array([2, 3, 1, 5]))))
    assert NESTED_REDUCTIONS.rewrite(model) is model
