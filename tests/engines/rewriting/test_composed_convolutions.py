"""Two convolutions with nothing between them as one."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.composed_convolutions import COMPOSED_CONVOLUTIONS
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving


def pair(first: dict[str, Any], second: dict[str, Any], *, half: bool = False, between: str = "") -> onnx.ModelProto:
    g = Written((1, 6, 9, 8), half=half)
    inner = g.conv("image", 6, first.pop("outputs", 6), **first)
    return g.model(g.conv(g.op(between, inner) if between else inner, 6, 4, **second))


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 5]),
    depthwise=st.booleans(),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    step=st.integers(1, 2),
    bias=st.booleans(),
)
def test_it_computes_the_same(kernel: int, depthwise: bool, strides: tuple[int, int], step: int, bias: bool) -> None:
    first = {"kernel": kernel, "group": 6} if depthwise else {"kernel": 1}
    model = pair({**first, "strides": strides, "bias": bias}, {"strides": [step, step]})
    assert operators(rewritten(COMPOSED_CONVOLUTIONS, model)) == ["Conv"]


def test_in_float16_too() -> None:
    rewritten(COMPOSED_CONVOLUTIONS, pair({"kernel": 3, "group": 6}, {}, half=True))


def test_of_three_in_a_row_two_become_one_at_a_time() -> None:
    g = Written((1, 6, 9, 8))
    model = g.model(g.conv(g.conv(g.conv("image", 6, 5), 5, 4), 4, 3))
    once = rewritten(COMPOSED_CONVOLUTIONS, model)
    assert operators(once) == ["Conv", "Conv"]
    assert operators(rewritten(COMPOSED_CONVOLUTIONS, once)) == ["Conv"]


@pytest.mark.parametrize(
    ("first", "second", "between"),
    [
        ({}, {}, "Relu"),
        ({}, {"kernel": 3}, ""),
        ({}, {"pad": 1}, ""),
        ({"kernel": 3}, {}, ""),
        ({"group": 2}, {}, ""),
        ({}, {"group": 2}, ""),
    ],
)
def test_what_is_not_linear_padded_late_or_in_other_groups_stays(
    first: dict[str, Any], second: dict[str, Any], between: str
) -> None:
    model = pair(dict(first), second, between=between)
    assert COMPOSED_CONVOLUTIONS.rewrite(model) is model


def test_where_the_arithmetic_costs_more_than_the_map_it_stays() -> None:
    g = Written((1, 512, 64, 64))
    model = g.model(g.conv(g.conv("image", 512, 512, 3, group=512), 512, 512))
    assert COMPOSED_CONVOLUTIONS.rewrite(model) is model


def test_a_map_that_others_read_stays() -> None:
    g = Written((1, 6, 9, 8))
    inner = g.conv("image", 6, 4)
    model = g.model(g.op("Add", g.conv(inner, 4, 4), inner))
    assert COMPOSED_CONVOLUTIONS.rewrite(model) is model


def test_the_compiler_writes_no_map_between() -> None:
    g = Written((1, 8, 64, 128))
    source = g.op("Relu", g.conv("image", 8, 16, 3))
    result = g.op("Relu", g.conv(g.conv(source, 16, 16), 16, 32))
    kernels, bytes_saved = saving(COMPOSED_CONVOLUTIONS, g.model(g.conv(result, 32, 8, 3)))
    assert (kernels, bytes_saved >= 2 * 2 * 16 * 64 * 128) == (1, True)
