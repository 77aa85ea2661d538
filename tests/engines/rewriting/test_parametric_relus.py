"""PReLU in operators that a convolution's kernel takes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.parametric_relus import PARAMETRIC_RELUS
from tests.engines.rewriting.rewriting_graphs_a import Written, operators, ran, rewritten, saving


def sloped(slopes: Any, *, half: bool = False) -> onnx.ModelProto:
    g = Written((1, 4, 5, 6), half=half)
    return g.model(g.op("PRelu", "image", g.constant(slopes)))


@settings(max_examples=25, deadline=None)
@given(slopes=st.lists(st.floats(-2, 3), min_size=4, max_size=4), half=st.booleans())
def test_it_computes_the_same_to_the_bit(slopes: list[float], half: bool) -> None:
    model = sloped(np.array(slopes).reshape(4, 1, 1), half=half)
    changed = rewritten(PARAMETRIC_RELUS, model)
    assert np.array_equal(ran(changed), ran(model))
    assert "PRelu" not in operators(changed)


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (4, 5, 6), (1, 4, 1, 1)])
def test_slopes_of_any_shape_are_taken(shape: tuple[int, ...]) -> None:
    rewritten(PARAMETRIC_RELUS, sloped(np.random.default_rng(0).uniform(0, 1, shape)))


def test_slopes_that_are_computed_stay() -> None:
    g = Written((1, 4, 5, 6))
    model = g.model(g.op("PRelu", "image", g.op("Sigmoid", "image")))
    assert PARAMETRIC_RELUS.rewrite(model) is model


def test_the_compiler_takes_it_into_the_convolution() -> None:
    g = Written((1, 8, 64, 128))
    result = g.op("PRelu", g.conv("image", 8, 32, 3), g.constant(g.random.uniform(0, 0.5, (32, 1, 1))))
    kernels, bytes_saved = saving(PARAMETRIC_RELUS, g.model(g.conv(result, 32, 8, 3)))
    assert (kernels, bytes_saved > 2 * 32 * 64 * 128) == (1, True)
