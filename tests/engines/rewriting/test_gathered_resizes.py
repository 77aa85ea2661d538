"""Linear Resizes in a sum, written as Gathers and weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.gathered_resizes import COORDINATES, GATHERED_RESIZES, places
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, rewritten, saving


def summed(
    coordinates: str, sizes: tuple[int, int], *, mode: str = "linear", half: bool = False, number: int = 2
) -> onnx.ModelProto:
    g = Written((1, 3, 5, 7), half=half)
    terms = []
    for kind in ("Relu", "Sigmoid")[:number]:
        source, extent = g.op(kind, "image"), g.constant([1, 3, *sizes])
        terms.append(g.op("Resize", source, "", "", extent, mode=mode, coordinate_transformation_mode=coordinates))
    return g.model(g.op("Add", *terms) if number > 1 else g.op("Add", terms[0], g.constant(1.0)))


@settings(max_examples=40, deadline=None)
@given(coordinates=st.sampled_from(COORDINATES), sizes=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_it_computes_the_same_to_any_size(coordinates: str, sizes: tuple[int, int]) -> None:
    model = summed(coordinates, sizes)
    if sizes == (5, 7):
        assert GATHERED_RESIZES.rewrite(model) is model
    else:
        assert "Resize" not in operators(rewritten(GATHERED_RESIZES, model))


@settings(max_examples=15, deadline=None)
@given(coordinates=st.sampled_from(COORDINATES), factor=st.sampled_from([2, 3, 4, 8, 1.5, 2.7]))
def test_it_computes_the_same_by_any_factor(coordinates: str, factor: float) -> None:
    g = Written((1, 2, 6, 9))
    terms = [g.resize(g.op(kind, "image"), factor, coordinates=coordinates) for kind in ("Relu", "Sigmoid")]
    assert "Resize" not in operators(rewritten(GATHERED_RESIZES, g.model(g.op("Add", *terms))))


def test_in_float16_too() -> None:
    rewritten(GATHERED_RESIZES, summed("half_pixel", (10, 14), half=True))


@pytest.mark.parametrize(("mode", "number"), [("nearest", 2), ("cubic", 2), ("linear", 1)])
def test_another_mode_or_a_single_resize_stays(mode: str, number: int) -> None:
    model = summed("half_pixel", (10, 14), mode=mode, number=number)
    assert GATHERED_RESIZES.rewrite(model) is model


def test_a_resize_that_others_read_stays() -> None:
    g = Written((1, 3, 8, 8))
    one, other = g.resize("image"), g.resize(g.op("Relu", "image"))
    model = g.model(g.op("Mul", g.op("Add", one, other), g.op("Add", one, other)))
    assert GATHERED_RESIZES.rewrite(model) is model


def test_a_sum_with_a_convolution_stays_as_its_kernel_adds_up_all() -> None:
    g = Written((1, 3, 8, 8))
    terms = [g.op("Relu", g.conv(g.resize("image"), 3, 3)), g.resize("image"), g.resize(g.op("Relu", "image"))]
    model = g.model(g.op("Add", terms[0], g.op("Add", *terms[1:])))
    assert GATHERED_RESIZES.rewrite(model) is model


def test_the_places_of_a_doubled_side_are_a_quarter_beside_the_old_ones() -> None:
    low, high, share = places(3, 6, 2.0, "half_pixel")
    assert (low.tolist(), high.tolist()) == ([0, 0, 0, 1, 1, 2], [1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(share, [0, 0.25, 0.75, 0.25, 0.75, 0])


def test_the_compiler_makes_one_kernel_of_the_sum() -> None:
    g = Written((1, 8, 64, 128))
    large = g.op("MaxPool", g.conv("image", 8, 32, 3), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    small = [g.op("Relu", g.conv("image", 8, 32, 3, strides=[step, step])) for step in (2, 4, 8)]
    total = large
    for tensor, factor in zip(small, (2, 4, 8)):
        total = g.op("Add", total, g.resize(tensor, factor))
    kernels, bytes_saved = saving(GATHERED_RESIZES, g.model(g.conv(total, 32, 8, 3)))
    assert (kernels, bytes_saved > 2 * 32 * 64 * 128) == (2, True)
