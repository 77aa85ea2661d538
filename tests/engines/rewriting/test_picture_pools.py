"""A max pool of the picture as the Max of strided Slices."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.picture_pools import PICTURE_POOLS
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, ran, rewritten, saving


def pooled(*, half: bool = False, before: str = "", **attributes: Any) -> onnx.ModelProto:
    g = Written((1, 3, 11, 14), half=half)
    source = g.op(before, "image") if before else "image"
    return g.model(g.op("MaxPool", source, **attributes))


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    half=st.booleans(),
)
def test_it_finds_the_same(kernel: tuple[int, int], strides: tuple[int, int], pads: list[int], half: bool) -> None:
    pads = [min(pad, kernel[place % 2] - 1) for place, pad in enumerate(pads)]
    model = pooled(kernel_shape=kernel, strides=strides, pads=pads, half=half)
    changed = rewritten(PICTURE_POOLS, model)
    assert (ran(changed) == ran(model)).all()
    assert "MaxPool" not in operators(changed)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [4, 4]},
        {"kernel_shape": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "dilations": [2, 2]},
        {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 2], "before": "Relu"},
    ],
)
def test_large_windows_other_rules_and_other_maps_stay(attributes: Any) -> None:
    model = pooled(**attributes)
    assert PICTURE_POOLS.rewrite(model) is model


def test_a_window_larger_than_the_picture_stays() -> None:
    g = Written((1, 3, 2, 6))
    model = g.model(g.op("MaxPool", "image", kernel_shape=[3, 1], strides=[2, 2]))
    assert ran(model).shape == (1, 3, 1, 3)  # where the window never fits
    assert PICTURE_POOLS.rewrite(model) is model


def test_the_compiler_converts_the_picture_once() -> None:
    g = Written((1, 3, 128, 256))
    pool = g.op("MaxPool", "image", kernel_shape=[2, 2], strides=[2, 2])
    both = g.op("Concat", g.conv("image", 3, 13, 3, strides=[2, 2]), pool, axis=1)
    kernels, bytes_saved = saving(PICTURE_POOLS, g.model(g.conv(g.op("Relu", both), 16, 8, 3)))
    assert (kernels, bytes_saved > 2 * 3 * 128 * 256) == (1, True)
