"""A 1x1 convolution behind a Resize, computed before it."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.convolutions_before_resize import CONVOLUTIONS_BEFORE_RESIZE
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving

RULES = [
    ("linear", "half_pixel"),
    ("linear", "pytorch_half_pixel"),
    ("linear", "align_corners"),
    ("linear", "asymmetric"),
    ("nearest", "asymmetric"),
]


def enlarged(
    rule: tuple[str, str] = RULES[0], *, factor: float = 2, outputs: int = 3, half: bool = False, **conv: Any
) -> onnx.ModelProto:
    g = Written((1, 4, 5, 6), half=half)
    large = g.resize("image", factor, mode=rule[0], coordinates=rule[1])
    return g.model(g.conv(large, 4, outputs, conv.pop("kernel", 1), **conv))


@settings(max_examples=25, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    factor=st.sampled_from([2, 4, 1.5]),
    parts=st.lists(st.sampled_from(["large", "small"]), max_size=2),
    bias=st.booleans(),
    sizes=st.booleans(),
)
def test_it_computes_the_same_behind_a_concat_too(
    rule: tuple[str, str], factor: float, parts: list[str], bias: bool, sizes: bool
) -> None:
    g = Written((1, 4, 6, 8))
    side = (int(6 * factor), int(8 * factor))

    def resized(source: str) -> str:
        if not sizes:
            return g.resize(source, factor, mode=rule[0], coordinates=rule[1])
        nearest = {"nearest_mode": "floor"} if rule[0] == "nearest" else {}
        extent = g.constant([1, 4, *side])
        return g.op("Resize", source, "", "", extent, mode=rule[0], coordinate_transformation_mode=rule[1], **nearest)

    tensors = [resized(g.conv("image", 4, 4, 3))]
    for part in parts:
        tensors.append(resized(g.conv("image", 4, 4)) if part == "small" else g.op("Relu", resized("image")))
    joined = g.op("Concat", *tensors, axis=1) if len(tensors) > 1 else tensors[0]
    changed = rewritten(CONVOLUTIONS_BEFORE_RESIZE, g.model(g.conv(joined, 4 * len(tensors), 3, bias=bias)))
    assert "Concat" not in operators(changed) or parts.count("large") > 1


def test_in_float16_too() -> None:
    rewritten(CONVOLUTIONS_BEFORE_RESIZE, enlarged(half=True))


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel": 3},
        {"strides": [2, 2]},
        {"pad": 1},
        {"group": 2, "outputs": 4},
        {"outputs": 5},
        {"factor": 0.5},
        {"rule": ("cubic", "half_pixel")},
    ],
)
def test_other_convolutions_and_resizes_stay(attributes: Any) -> None:
    model = enlarged(**attributes)
    assert CONVOLUTIONS_BEFORE_RESIZE.rewrite(model) is model


def test_a_resize_that_others_read_stays() -> None:
    g = Written((1, 4, 5, 6))
    large = g.resize("image")
    model = g.model(g.op("Concat", large, g.conv(large, 4, 3), axis=1))
    assert CONVOLUTIONS_BEFORE_RESIZE.rewrite(model) is model


def test_a_relu_between_stays_where_it_is() -> None:
    g = Written((1, 4, 5, 6))
    model = g.model(g.conv(g.op("Relu", g.resize("image")), 4, 3))
    assert CONVOLUTIONS_BEFORE_RESIZE.rewrite(model) is model


def test_the_compiler_enlarges_fewer_channels() -> None:
    g = Written((1, 8, 32, 64))
    small = g.op("Relu", g.conv("image", 8, 64, 3))
    large = g.op("Relu", g.conv(g.resize("image"), 8, 16, 3))
    joined = g.op("Concat", large, g.resize(small), axis=1)
    result = g.op("Relu", g.conv(joined, 80, 16))
    _, bytes_saved = saving(CONVOLUTIONS_BEFORE_RESIZE, g.model(g.conv(result, 16, 8, 3)))
    assert bytes_saved > 2 * 64 * 64 * 128
