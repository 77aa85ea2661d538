from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rtseg.calibration.table import TensorRange
from rtseg.errors import QuantizationError
from rtseg.quantization.scales import (
    SIGNED_STEPS,
    SMALLEST,
    activation_scale,
    channel_scales,
    constant_scale,
    shared_ranges,
)

NAMES = "abcdef"
thresholds = st.floats(0.125, 1024)
tables = st.fixed_dictionaries({name: thresholds for name in NAMES}).map(
    lambda values: {name: TensorRange(value, -value / 2, value) for name, value in values.items()}
)
groups = st.lists(st.frozensets(st.sampled_from(NAMES), min_size=1), max_size=4)
weights = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 3), st.just(3)), elements=st.floats(-100, 100, width=32)
)


@given(weights)
def test_no_weight_is_further_from_its_integer_than_half_a_step(weight: np.ndarray) -> None:
    scales = channel_scales(weight).astype(np.float64)[:, None, None]
    integers = np.clip(np.rint(weight / scales), -SIGNED_STEPS, SIGNED_STEPS)
    assert (np.abs(integers * scales - weight) <= scales * (0.5 + 1e-4)).all()


@given(weights)
def test_a_channel_uses_its_steps_to_the_end(weight: np.ndarray) -> None:
    scales = channel_scales(weight)
    largest = np.rint(np.abs(weight).max((1, 2)) / scales)
    assert set(largest[np.abs(weight).max((1, 2)) > 1e-4]) <= {SIGNED_STEPS}


@given(weights)
def test_no_value_of_a_constant_is_further_from_its_integer_than_half_a_step(values: np.ndarray) -> None:
    step = float(constant_scale(values))
    integers = np.rint(values / step)
    assert np.abs(integers).max() <= SIGNED_STEPS
    assert (np.abs(integers * step - values) <= step * (0.5 + 1e-4)).all()


@given(arrays.arrays(np.int32, (3, 5), elements=st.integers(-127, 127)), st.integers(-6, 3))
def test_multiples_of_a_power_of_two_do_not_change_at_all(integers: np.ndarray, exponent: int) -> None:
    values = (integers * 2.0**exponent).astype(np.float32)
    step = constant_scale(values)
    assert np.array_equal(np.rint(values / step) * step, values)


@pytest.mark.parametrize("factor", [1.0, 1e-4, 1e-9, 1e-15])
def test_a_constant_loses_as_little_however_small_its_values_are(factor: float) -> None:
    values = (np.random.default_rng(0).standard_normal((16, 16)) * factor).astype(np.float32)
    step = float(constant_scale(values))
    error = np.rint(values / step) * step - values
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.sqrt(np.mean(values**2))


def test_a_constant_of_zeros_has_a_step() -> None:
    assert constant_scale(np.zeros((2, 2), np.float32)) > 0


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_constant_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(QuantizationError, match="not finite"):
        constant_scale(np.array([[1.0, value]], np.float32))


def test_weights_for_pixels_from_0_to_255_keep_their_steps() -> None:
    # Normalised by hand inside the first layer they are a thousandth of what others are.
    weight = np.array([[1e-3], [-2e-4]], np.float32)
    np.testing.assert_allclose(channel_scales(weight), [1e-3 / 127, 2e-4 / 127], rtol=1e-6)


def test_a_channel_of_zeros_has_a_step_that_fp16_holds() -> None:
    scale = channel_scales(np.zeros((1, 4), np.float32))
    assert scale.astype(np.float16) >= np.finfo(np.float16).tiny


def test_the_threshold_is_127_steps() -> None:
    assert activation_scale("a", {"a": TensorRange(254.0, -3.0, 254.0)}) == 2


def test_the_step_of_a_tiny_activation_is_one_that_fp16_holds() -> None:
    assert activation_scale("a", {"a": TensorRange(1e-6, 0.0, 1e-6)}) == np.float32(SMALLEST)


@pytest.mark.parametrize(
    "asked", [lambda table: activation_scale("z", table), lambda t: shared_ranges(t, [frozenset("az")])]
)
def test_a_tensor_without_a_range_is_refused(asked: object) -> None:
    with pytest.raises(QuantizationError, match=r"no range for the tensor z.*rtseg calibrate"):
        asked({"a": TensorRange(1.0, 0.0, 1.0)})  # type: ignore[operator]


@given(tables, groups)
def test_sharing_never_narrows_a_range(table: dict[str, TensorRange], shared: list[frozenset[str]]) -> None:
    for name, after in shared_ranges(table, shared).items():
        assert after.threshold >= table[name].threshold
        assert after.minimum <= table[name].minimum and after.maximum >= table[name].maximum


@given(tables, groups)
def test_tensors_of_a_group_and_of_groups_that_touch_have_one_range(
    table: dict[str, TensorRange], shared: list[frozenset[str]]
) -> None:
    after = shared_ranges(table, shared)
    for group in shared:
        assert len({after[name] for name in group}) == 1
    for one in shared:
        for other in shared:
            if one & other:
                assert {after[name] for name in one} == {after[name] for name in other}


@given(tables, groups)
def test_sharing_twice_is_sharing_once(table: dict[str, TensorRange], shared: list[frozenset[str]]) -> None:
    once = shared_ranges(table, shared)
    assert shared_ranges(once, shared) == once


@given(tables, groups, st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(
    table: dict[str, TensorRange], shared: list[frozenset[str]], random: object
) -> None:
    mixed = list(shared)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert shared_ranges(table, mixed) == shared_ranges(table, shared)


@given(tables, groups)
def test_a_shared_range_is_that_of_one_of_its_tensors_at_least(
    table: dict[str, TensorRange], shared: list[frozenset[str]]
) -> None:
    for after in shared_ranges(table, shared).values():
        assert any(math.isclose(after.threshold, before.threshold) for before in table.values())


def test_a_tensor_of_no_group_keeps_its_range() -> None:
    table = {name: TensorRange(float(value), 0.0, 1.0) for value, name in enumerate(NAMES, start=1)}
    after = shared_ranges(table, [frozenset("ab")])
    assert {name: after[name] for name in "cdef"} == {name: table[name] for name in "cdef"}
