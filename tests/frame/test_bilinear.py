"""The rule of sampling along one axis: torch's numbers for the whole, and a part as what lies inside the whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.frame.bilinear import MAX_SIDE, Axis, Part, ratio_and_shift

SIDES = st.integers(1, 4096) | st.integers(1, MAX_SIDE)


@given(SIDES, SIDES, SIDES)
@settings(max_examples=500)
def test_the_ratio_of_the_whole_is_one_division_in_float32(inputs: int, outputs: int, canvas: int) -> None:
    for part in (Part(2, 0, 2), Part(canvas, 0, canvas)):
        got = ratio_and_shift(inputs, outputs, align_corners=False, part=part)
        assert got == (np.float32(inputs) / np.float32(outputs), 0)
        got = ratio_and_shift(inputs, outputs, align_corners=True, part=part)
        assert got == (np.float32(inputs - 1) / np.float32(outputs - 1) if outputs > 1 else 0, 0)


@given(st.integers(1, 50), st.data())
@settings(max_examples=200)
def test_a_part_that_is_enlarged_by_a_whole_factor_is_cut_out_of_the_whole(inputs: int, data: st.DataObject) -> None:
    """By powers of two, where no coordinate is rounded."""
    stride, enlarged = 8, 2 ** data.draw(st.integers(0, 3))
    length = data.draw(st.integers(1, inputs * stride))
    begin = data.draw(st.integers(0, inputs * stride - length))
    whole = Axis.of(inputs, inputs * stride * enlarged, align_corners=False)
    part = Axis.of(inputs, length * enlarged, align_corners=False, part=Part(inputs * stride, begin, length))
    for name, values in vars(part).items():
        np.testing.assert_array_equal(values, vars(whole)[name][begin * enlarged : (begin + length) * enlarged])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.booleans(), st.data())
@settings(max_examples=200)
def test_every_sample_lies_inside_and_its_weights_are_shares(
    inputs: int, outputs: int, canvas: int, align_corners: bool, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, canvas))
    part = Part(canvas, data.draw(st.integers(0, canvas - length)), length)
    axis = Axis.of(inputs, outputs, align_corners=align_corners, part=part)
    assert (axis.near >= 0).all() and (axis.near <= axis.far).all() and (axis.far < inputs).all()
    assert (axis.far - axis.near <= 1).all() and (np.diff(axis.near) >= 0).all()
    assert (axis.far_weight >= 0).all() and (axis.far_weight <= 1).all()
    np.testing.assert_array_equal(axis.near_weight, np.float32(1) - axis.far_weight)
