"""BatchNorm and ReLU behind a Concat, moved into its parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.through_concat import THROUGH_CONCAT
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving

PARTS = ("convolution", "pool", "sigmoid", "shared", "nested")
BEHIND = ("norm", "mul", "add", "relu", "clip")


def joined(parts: list[str], behind: list[str], *, half: bool = False, axis: int = 1) -> tuple[Written, str]:
    g = Written((1, 4, 6, 8), half=half)
    tensors = []
    for kind in parts:
        if kind == "pool":
            tensors.append(g.op("MaxPool", "image", kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        elif kind == "sigmoid":
            tensors.append(g.op("Sigmoid", g.conv("image", 4, 4, 3)))
        elif kind == "nested":
            tensors.append(g.op("Concat", g.conv("image", 4, 2), g.conv("image", 4, 2, 3, bias=False), axis=1))
        else:
            tensors.append(g.conv("image", 4, 4, 3, bias=kind == "shared"))
            if kind == "shared":
                tensors.append(g.op("Abs", tensors[-1]))
    result = g.op("Concat", *tensors, axis=axis)
    channels = 4 * len(tensors)
    for kind in behind:
        if kind == "norm":
            result = g.norm(result, channels)
        elif kind in ("mul", "add"):
            result = g.op(kind.title(), result, g.numbers(1, channels, 1, 1))
        elif kind == "relu":
            result = g.op("Relu", result)
        else:
            result = g.op("Clip", result, g.constant(0.0), g.constant(6.0))
    return g, result


@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=3),
    affine=st.lists(st.sampled_from(BEHIND[:3]), max_size=2),
    activation=st.sampled_from(["relu", "clip"]),
    last=st.booleans(),
)
def test_the_parts_compute_what_stood_behind_them(
    parts: list[str], affine: list[str], activation: str, last: bool
) -> None:
    behind = [*affine, *([activation] if last or not affine else [])]
    g, result = joined([*parts, "convolution"], behind)
    changed = rewritten(THROUGH_CONCAT, g.model(result))
    assert changed.graph.node[-1].op_type == "Concat"
    assert "BatchNormalization" not in operators(changed)


def test_in_float16_too() -> None:
    g, result = joined(["convolution", "pool"], ["norm", "relu"], half=True)
    rewritten(THROUGH_CONCAT, g.model(result))


def test_a_relu_is_left_off_what_cannot_be_negative() -> None:
    g, result = joined(["convolution", "sigmoid"], ["relu"])
    assert operators(rewritten(THROUGH_CONCAT, g.model(result))).count("Relu") == 1
    g, result = joined(["convolution", "pool"], ["relu"])
    assert operators(rewritten(THROUGH_CONCAT, g.model(result))).count("Relu") == 2


@pytest.mark.parametrize(
    ("parts", "behind"),
    [(["pool", "sigmoid"], ["relu"]), (["shared"], ["norm"]), (["convolution"], []), (["convolution", "pool"], [])],
)
def test_without_an_own_convolution_or_anything_behind_it_stays(parts: list[str], behind: list[str]) -> None:
    g, result = joined(parts, behind)
    model = g.model(result)
    assert THROUGH_CONCAT.rewrite(model) is model


def test_a_concat_of_another_axis_stays() -> None:
    g, result = joined(["convolution", "convolution"], ["relu"], axis=2)
    model = g.model(result)
    assert THROUGH_CONCAT.rewrite(model) is model


def test_a_concat_that_is_read_before_too_stays() -> None:
    g, result = joined(["convolution", "pool"], [])
    model = g.model(g.op("Add", g.op("Relu", result), result))
    assert THROUGH_CONCAT.rewrite(model) is model


def test_the_compiler_moves_the_concatenation_no_more() -> None:
    g = Written((1, 8, 64, 128))
    source = g.op("Relu", g.conv("image", 8, 16, 3))
    parts = [g.conv(source, 16, 16, 3), g.conv(source, 16, 16)]
    result = g.op("Relu", g.norm(g.op("Concat", *parts, axis=1), 32))
    kernels, bytes_saved = saving(THROUGH_CONCAT, g.model(g.conv(result, 32, 8, 3)))
    assert (kernels, bytes_saved > 2 * 32 * 64 * 128) == (1, True)
