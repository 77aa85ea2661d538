"""The sum of convolutions as one convolution of all their maps."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.summed_convolutions import SUMMED_CONVOLUTIONS
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving


def two(first: dict[str, Any], second: dict[str, Any], *, half: bool = False, outputs: int = 16) -> onnx.ModelProto:
    """Return the sum of two convolutions, each of a map of its own with the stride that it wants."""
    g = Written((1, 4, 8, 8), half=half)
    terms = []
    for attributes in (first, second):
        strides = attributes.get("strides", [1, 1])
        source = g.op("Relu", g.conv("image", 4, 4, 3, strides=[2 // side for side in strides]))
        terms.append(g.conv(source, 4, outputs, **attributes))
    return g.model(g.op("Relu", g.op("Add", *terms)))


@settings(max_examples=25, deadline=None)
@given(
    kernels=st.lists(st.sampled_from([1, 3]), min_size=2, max_size=4),
    others=st.integers(0, 2),
    bias=st.booleans(),
    half=st.booleans(),
)
def test_it_computes_the_same_in_longer_sums(kernels: list[int], others: int, bias: bool, half: bool) -> None:
    g = Written((1, 4, 6, 7), half=half)
    terms = [g.op("Sigmoid", g.conv("image", 4, 16)) for _ in range(others)]
    for kernel in [*kernels, kernels[0]]:
        terms.append(g.conv(g.op("Relu", g.conv("image", 4, 4, 3)), 4, 16, kernel, bias=bias))
    total = terms[0]
    for term in terms[1:]:
        total = g.op("Add", term, total)
    before = len(operators(g.model(total)))
    assert len(operators(rewritten(SUMMED_CONVOLUTIONS, g.model(total)))) < before


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({}, {"strides": [2, 2]}),
        ({"strides": [2, 1]}, {"strides": [1, 2]}),
        ({"kernel": 3, "strides": [2, 2]}, {"kernel": 3, "strides": [2, 2]}),
        ({"kernel": 3, "dilations": [2, 2], "pad": 2}, {"kernel": 3, "dilations": [2, 2], "pad": 2}),
    ],
)
@pytest.mark.parametrize("half", [False, True])
def test_strides_and_dilations_are_kept(first: dict[str, Any], second: dict[str, Any], half: bool) -> None:
    changed = rewritten(SUMMED_CONVOLUTIONS, two(first, second, half=half))
    assert operators(changed).count("Conv") == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [({}, {"kernel": 3}), ({"group": 2}, {"group": 2}), ({"kernel": 3}, {"kernel": 3, "dilations": [2, 2], "pad": 2})],
)
def test_convolutions_that_walk_differently_or_in_groups_stay(first: dict[str, Any], second: dict[str, Any]) -> None:
    model = two(first, second)
    assert SUMMED_CONVOLUTIONS.rewrite(model) is model


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_term_that_the_sum_repeats_for_each_place_or_channel_stays_a_term(kernel: int) -> None:
    for pooled, outputs in ((True, 16), (False, 1)):
        g = Written((1, 4, 8, 8))
        other = g.op("GlobalAveragePool" if pooled else "Sigmoid", "image")
        large = g.conv(g.op("Relu", "image"), 4, 16, kernel)
        model = g.model(g.op("Add", large, g.conv(other, 4, outputs, kernel)))
        assert SUMMED_CONVOLUTIONS.rewrite(model) is model


def test_maps_of_two_sizes_are_not_joined_for_windows_that_give_one() -> None:
    g = Written((1, 4, 8, 8))
    one_less = g.op("MaxPool", "image", kernel_shape=[2, 2])
    terms = [g.conv(g.op("Relu", name), 4, 16, 3, strides=[2, 2]) for name in ("image", one_less)]
    model = g.model(g.op("Add", *terms))
    assert SUMMED_CONVOLUTIONS.rewrite(model) is model


def test_one_whose_result_others_read_stays() -> None:
    g = Written((1, 4, 8, 8))
    one = g.conv(g.op("Relu", "image"), 4, 8)
    model = g.model(g.op("Mul", g.op("Add", one, g.conv(g.op("Sigmoid", "image"), 4, 8)), one))
    assert SUMMED_CONVOLUTIONS.rewrite(model) is model


def test_where_the_copies_are_larger_than_the_terms_it_stays() -> None:
    g = Written((1, 32, 8, 8))
    pools = [g.op("MaxPool", "image", kernel_shape=[side, side], pads=[side // 2] * 4) for side in (3, 5)]
    model = g.model(g.op("Add", g.conv(pools[0], 32, 8), g.conv(pools[1], 32, 8)))
    assert SUMMED_CONVOLUTIONS.rewrite(model) is model


def test_the_compiler_writes_no_term() -> None:
    g = Written((1, 8, 64, 128))
    maps = [g.op("Relu", g.conv("image", 8, 32, 3)) for _ in range(2)]
    result = g.op("Relu", g.op("Add", g.conv(maps[0], 32, 64), g.conv(maps[1], 32, 64)))
    kernels, bytes_saved = saving(SUMMED_CONVOLUTIONS, g.model(g.conv(result, 64, 8, 3)))
    assert (kernels, bytes_saved >= 2 * 2 * 64 * 64 * 128) == (1, True)
