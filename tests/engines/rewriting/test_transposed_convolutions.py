"""A transposed convolution as a convolution and depth to space."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.transposed_convolutions import TRANSPOSED_CONVOLUTIONS
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving


def transposed(
    kernel: tuple[int, int], *, outputs: int = 5, bias: bool = True, half: bool = False, **attributes: Any
) -> onnx.ModelProto:
    g = Written((1, 3, 6, 7), half=half)
    weight = g.numbers(3, outputs // attributes.get("group", 1), *kernel)
    inputs = ["image", weight, *([g.numbers(outputs)] if bias else [])]
    return g.model(g.op("ConvTranspose", *inputs, **attributes))


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    step=st.integers(2, 3),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    more=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    bias=st.booleans(),
)
def test_it_computes_the_same(
    kernel: tuple[int, int], step: int, pads: list[int], more: tuple[int, int], bias: bool
) -> None:
    sides = [
        step * (size - 1) + kernel[axis] - pads[axis] - pads[axis + 2] + more[axis] for axis, size in enumerate((6, 7))
    ]
    assume(min(sides) > 0)
    model = transposed(kernel, bias=bias, strides=[step, step], pads=pads, output_padding=more)
    changed = TRANSPOSED_CONVOLUTIONS.rewrite(model)
    if any(side % step for side in sides):
        assert changed is model
    elif changed is not model:
        assert operators(rewritten(TRANSPOSED_CONVOLUTIONS, model)) == ["Conv", "DepthToSpace"]


@pytest.mark.parametrize(
    ("kernel", "attributes"),
    [
        ((2, 2), {"strides": [2, 2]}),
        ((3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        ((4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((4, 4), {"strides": [4, 4]}),
        ((3, 2), {"strides": [2, 2], "pads": [1, 0, 0, 0]}),
    ],
)
@pytest.mark.parametrize("half", [False, True])
def test_the_usual_ones_are_taken(kernel: tuple[int, int], attributes: Any, half: bool) -> None:
    rewritten(TRANSPOSED_CONVOLUTIONS, transposed(kernel, half=half, **attributes))


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 2], "outputs": 8},
        {"strides": [1, 1]},
        {"strides": [2, 1]},
        {"strides": [2, 2], "dilations": [2, 2]},
        {"strides": [2, 2], "group": 3, "outputs": 3},
    ],
)
def test_full_channels_single_steps_and_groups_stay(attributes: Any) -> None:
    model = transposed((2, 2), **attributes)
    assert TRANSPOSED_CONVOLUTIONS.rewrite(model) is model


def test_the_compiler_pads_no_channels_at_full_size() -> None:
    g = Written((1, 8, 64, 128))
    source = g.op("Relu", g.conv("image", 8, 16, 3))
    result = g.op("ConvTranspose", source, g.numbers(16, 19, 2, 2), g.numbers(19), strides=[2, 2])
    _, bytes_saved = saving(TRANSPOSED_CONVOLUTIONS, g.model(result))
    assert bytes_saved > 2 * 19 * 128 * 256
