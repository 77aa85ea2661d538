"""Equal Resizes that are added up, as one Resize of the sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.sums_before_resize import SUMS_BEFORE_RESIZE
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving


@settings(max_examples=25, deadline=None)
@given(
    terms=st.lists(st.sampled_from(["two", "four", "large"]), max_size=4),
    order=st.randoms(use_true_random=False),
    mode=st.sampled_from(["linear", "nearest"]),
)
def test_it_computes_the_same_in_sums_of_any_shape(terms: list[str], order: object, mode: str) -> None:
    g = Written((1, 3, 8, 8))
    half = g.op("AveragePool", "image", kernel_shape=[2, 2], strides=[2, 2])
    tensors = []
    for kind in [*terms, "two", "two"]:
        if kind == "large":
            tensors.append(g.op("Sigmoid", g.resize("image")))
        elif kind == "two":
            tensors.append(g.resize(g.op("Relu", g.conv("image", 3, 3, 3)), 2, mode=mode))
        else:
            tensors.append(g.resize(g.conv(half, 3, 3), 4, mode=mode))
    order.shuffle(tensors)  # type: ignore[attr-defined]
    while len(tensors) > 1:
        place = order.randrange(len(tensors) - 1)  # type: ignore[attr-defined]
        tensors[place : place + 2] = [g.op("Add", *tensors[place : place + 2])]
    changed = rewritten(SUMS_BEFORE_RESIZE, g.model(tensors[0]))
    assert operators(changed).count("Resize") == 1 + bool("four" in terms) + terms.count("large")


def test_in_float16_too() -> None:
    g = Written((1, 3, 8, 8), half=True)
    rewritten(SUMS_BEFORE_RESIZE, g.model(g.op("Add", g.resize("image"), g.resize(g.op("Relu", "image")))))


@pytest.mark.parametrize(("factor", "coordinates"), [(0.5, "half_pixel"), (2, "align_corners")])
def test_resizes_by_other_rules_or_to_smaller_maps_stay(factor: float, coordinates: str) -> None:
    g = Written((1, 3, 8, 8))
    terms = [g.resize("image", factor), g.resize(g.op("Relu", "image"), factor, coordinates=coordinates)]
    model = g.model(g.op("Add", *terms))
    assert SUMS_BEFORE_RESIZE.rewrite(model) is model


def test_a_resized_plane_that_the_sum_repeats_for_each_channel_stays() -> None:
    g = Written((1, 3, 8, 8))
    terms = [
        g.op("Resize", name, "", "", g.constant(np.array([1, channels, 16, 16])), mode="linear")
        for name, channels in ((g.conv("image", 3, 1), 1), (g.op("Relu", "image"), 3))
    ]
    model = g.model(g.op("Add", *terms))
    assert SUMS_BEFORE_RESIZE.rewrite(model) is model


def test_a_resize_that_others_read_stays() -> None:
    g = Written((1, 3, 8, 8))
    one = g.resize("image")
    model = g.model(g.op("Mul", g.op("Add", one, g.resize(g.op("Relu", "image"))), one))
    assert SUMS_BEFORE_RESIZE.rewrite(model) is model


def test_the_compiler_adds_up_the_small_maps() -> None:
    g = Written((1, 8, 32, 64))
    small = [g.op("Relu", g.conv("image", 8, 32, 3)) for _ in range(3)]
    result = g.op("Add", g.op("Add", g.resize(small[0]), g.resize(small[1])), g.resize(small[2]))
    kernels, bytes_saved = saving(SUMS_BEFORE_RESIZE, g.model(g.conv(result, 32, 8, 3)))
    assert (kernels > 0, bytes_saved > 2 * 32 * 64 * 128) == (True, True)
