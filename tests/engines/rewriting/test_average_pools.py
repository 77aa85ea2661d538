"""An average pool in front of a Concat as a depthwise convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.average_pools import AVERAGE_POOLS_AS_CONVOLUTIONS
from tests.engines.lowering.lowering_graphs import ran as ran_on
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving


def pooled(*, half: bool = False, joined: bool = True, **attributes: Any) -> Any:
    g = Written((1, 3, 13, 17), half=half)
    pool = g.op("AveragePool", "image", **attributes)
    return g.model(g.op("Concat", pool, g.op("Relu", pool), axis=1) if joined else g.op("Relu", pool))


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.lists(st.integers(0, 1), min_size=4, max_size=4),
)
def test_it_computes_the_same(kernel: tuple[int, int], strides: tuple[int, int], pads: list[int]) -> None:
    pads = [pad if kernel[place % 2] > 1 else 0 for place, pad in enumerate(pads)]
    model = pooled(kernel_shape=kernel, strides=strides, pads=pads, count_include_pad=1)
    assert "AveragePool" not in operators(rewritten(AVERAGE_POOLS_AS_CONVOLUTIONS, model))


def test_an_average_of_nine_is_not_biased_in_float16() -> None:
    """1/9 as a weight in FP16 makes every average 0.03 % too small."""
    model = rewritten(AVERAGE_POOLS_AS_CONVOLUTIONS, pooled(kernel_shape=[3, 3], half=True))
    ones = np.ones((1, 3, 13, 17), np.float16)
    assert (ran_on(model, ones) == 1).all()


def test_in_float16_too() -> None:
    rewritten(AVERAGE_POOLS_AS_CONVOLUTIONS, pooled(kernel_shape=[3, 3], strides=[2, 2], half=True))


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1, 1, 1]},
        {"ceil_mode": 1, "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER"},
        {"joined": False},
    ],
)
def test_where_averages_divide_by_several_numbers_or_nothing_is_joined_it_stays(attributes: Any) -> None:
    model = pooled(kernel_shape=[3, 3], **attributes)
    assert AVERAGE_POOLS_AS_CONVOLUTIONS.rewrite(model) is model


def test_an_average_over_a_window_larger_than_the_map_stays() -> None:
    g = Written((1, 3, 2, 6))
    model = g.model(g.op("Concat", g.op("AveragePool", "image", kernel_shape=[3, 1], strides=[2, 2]), axis=1))
    assert AVERAGE_POOLS_AS_CONVOLUTIONS.rewrite(model) is model


def test_the_compiler_copies_it_into_the_concat_no_more() -> None:
    g = Written((1, 8, 64, 128))
    source = g.op("Relu", g.conv("image", 8, 32, 3))
    pool = g.op("AveragePool", source, kernel_shape=[2, 2], strides=[2, 2])
    joined = g.op("Concat", g.op("Relu", g.conv(source, 32, 32, 3, strides=[2, 2])), pool, axis=1)
    kernels, bytes_saved = saving(AVERAGE_POOLS_AS_CONVOLUTIONS, g.model(g.conv(joined, 64, 8, 3)))
    assert (kernels, bytes_saved > 32 * 32 * 64) == (1, True)
