"""What a Concat joins of a Resize or a Slice."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.moved_parts import MOVED_PARTS
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, ran, rewritten, saving


def joined(parts: list[str], *, half: bool = False, axis: int = 1, channels: int = 8) -> onnx.ModelProto:
    g = Written((1, channels, 8, 8), half=half)
    small = g.conv("image", channels, channels, 3, strides=[2, 2])
    tensors = []
    for part in parts:
        if part == "resize":
            tensors.append(g.resize(small))
        elif part == "positive":
            tensors.append(g.resize(g.op("Relu", small)))
        elif part == "pad":
            tensors.append(g.op("Pad", small, g.constant([0, 0, 2, 2, 0, 0, 2, 2])))
        elif part == "pool":
            tensors.append(g.op("MaxPool", "image", kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        else:
            tensors.append(g.conv("image", channels, channels, 3))
            if part == "pooled":
                g.op("MaxPool", tensors[-1], kernel_shape=[2, 2], strides=[2, 2])
    return g.model(g.op("Concat", *tensors, axis=axis))


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.sampled_from(["resize", "positive", "pad", "pool", "convolution", "pooled"]), max_size=3))
def test_nothing_changes_in_what_is_computed(parts: list[str]) -> None:
    model = joined([*parts, "resize", "convolution"])
    changed = rewritten(MOVED_PARTS, model)
    assert (ran(changed) == ran(model)).all()
    assert operators(changed).count("MaxPool") == 0


def test_in_float16_too() -> None:
    rewritten(MOVED_PARTS, joined(["resize", "convolution"], half=True))


def test_what_is_positive_is_kept_apart_by_a_relu_else_by_an_addition() -> None:
    assert operators(rewritten(MOVED_PARTS, joined(["convolution", "positive"])))[-2] == "Relu"
    assert operators(rewritten(MOVED_PARTS, joined(["convolution", "resize"])))[-2] == "Add"


@pytest.mark.parametrize("parts", [["convolution", "convolution"], ["resize", "pad"], ["pool", "resize"]])
def test_where_nothing_is_moved_or_nothing_stays_it_stays(parts: list[str]) -> None:
    model = joined(parts)
    assert MOVED_PARTS.rewrite(model) is model


def test_channels_that_do_not_fill_their_places_stay() -> None:
    model = joined(["resize", "convolution"], channels=12)
    assert MOVED_PARTS.rewrite(model) is model


def test_a_concat_of_another_axis_stays() -> None:
    model = joined(["resize", "convolution"], axis=2)
    assert MOVED_PARTS.rewrite(model) is model


def test_a_concat_that_a_matrix_product_reads_stays() -> None:
    g = Written((1, 4, 4, 4))
    small = g.conv("image", 4, 128, 3, strides=[2, 2])
    both = g.op("Concat", g.conv("image", 4, 128, 3), g.resize(small), axis=1)
    model = g.model(g.conv(both, 256, 256))
    assert MOVED_PARTS.rewrite(model) is model


def test_the_compiler_writes_the_other_part_once_though_a_pool_reads_it() -> None:
    g = Written((1, 8, 64, 128))
    large = g.op("Relu", g.conv("image", 8, 32, 3))
    pool = g.op("MaxPool", large, kernel_shape=[2, 2], strides=[2, 2])
    small = g.op("Relu", g.conv(pool, 32, 32, 3))
    both = g.op("Concat", large, g.resize(small), axis=1)
    kernels, bytes_saved = saving(MOVED_PARTS, g.model(g.conv(both, 64, 8, 3)))
    assert (kernels, bytes_saved >= 2 * 2 * 32 * 64 * 128) == (0, True)
