from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rtseg.calibration.histograms import Histogram, HistogramSet
from rtseg.calibration.thresholds import (
    LEVELS,
    ZERO_THRESHOLD,
    Method,
    _divergences,
    entropy,
    mean_squared_error,
    minmax,
    mse,
    percentile,
    threshold,
)
from rtseg.errors import CalibrationError, UnknownNameError

METHODS = [Method("minmax"), Method("percentile", 99.99), Method("percentile", 50.0), Method("entropy"), Method("mse")]
METHOD_NAMES = [f"{method.name} {method.percent or ''}".strip() for method in METHODS]
each_method = pytest.mark.parametrize("method", METHODS, ids=METHOD_NAMES)
MODERATE = st.floats(-(2.0**20), 2.0**20, width=32)
VALUES = hnp.arrays(np.float32, st.integers(1, 400), elements=MODERATE, fill=MODERATE)


def histogram_of(values: np.ndarray) -> Histogram:
    histograms = HistogramSet(["x"])
    histograms.add("x", np.asarray(values, np.float32), threads=1)
    return histograms.histogram("x")


def heavy_tail(size: int = 200_000) -> np.ndarray:
    """A normal body, and one value in ten thousand spread over a hundred times its width."""
    random = np.random.default_rng(0)
    values = random.standard_normal(size)
    values[:: size // 20] *= 30
    values[0] = 100
    return values


@each_method
@given(values=VALUES)
@settings(max_examples=60, deadline=None)
def test_a_threshold_is_above_zero_and_at_most_the_greatest_magnitude(method: Method, values: np.ndarray) -> None:
    histogram = histogram_of(values)
    found = threshold(histogram, method)
    assert 0 < found <= (histogram.magnitude or ZERO_THRESHOLD)


@each_method
@given(values=VALUES, power=st.integers(-30, 30))
@settings(max_examples=60, deadline=None)
def test_values_times_a_power_of_two_have_that_many_times_the_threshold(
    method: Method, values: np.ndarray, power: int
) -> None:
    values = np.where(np.abs(values) < 2.0**-40, np.float32(0), values)  # stays clear of the narrowest bins
    if not values.any():
        return
    scaled = threshold(histogram_of(np.ldexp(values, power)), method)
    assert scaled == np.ldexp(threshold(histogram_of(values), method), power)


@each_method
def test_a_tensor_of_zeros_gets_the_threshold_for_zeros(method: Method) -> None:
    assert threshold(histogram_of(np.zeros(5)), method) == ZERO_THRESHOLD


@pytest.mark.parametrize("find", [lambda h: percentile(h, 99.9), entropy, mse], ids=["percentile", "entropy", "mse"])
def test_a_heavy_tail_is_clipped(find) -> None:
    assert find(histogram_of(heavy_tail())) < 60 < minmax(histogram_of(heavy_tail()))


@pytest.mark.parametrize("find", [entropy, mse])
def test_an_even_distribution_is_not_clipped(find) -> None:
    values = np.random.default_rng(0).uniform(-3, 3, 1_000_000)
    assert find(histogram_of(values)) > 0.99 * np.abs(values).max()


def test_minmax_is_the_greatest_magnitude_of_either_sign() -> None:
    assert minmax(histogram_of(np.array([-5, 3]))) == 5


# Percentile


@given(values=VALUES, percent=st.floats(0.5, 100))
@settings(max_examples=100, deadline=None)
def test_a_percentile_lies_within_a_bin_of_the_exact_one(values: np.ndarray, percent: float) -> None:
    histogram = histogram_of(values)
    if histogram.magnitude == 0:
        return
    exact = np.quantile(np.abs(values.astype(np.float64)), percent / 100, method="inverted_cdf")
    assert percentile(histogram, percent) == pytest.approx(exact, abs=histogram.width, rel=1e-9)


def test_a_percentile_is_interpolated_inside_its_bin() -> None:
    histogram = histogram_of(np.arange(4096) / 2048)  # one value in each bin, 2^-11 wide
    histogram = replace(histogram, counts=histogram.counts * np.uint64(10))
    assert percentile(histogram, 50) == pytest.approx(1.0, rel=1e-12)
    for bins in (0.3, 0.5, 7.9):
        assert percentile(histogram, 50 + 100 * bins / 4096) == pytest.approx((2048 + bins) / 2048, rel=1e-12)


def test_the_hundredth_percentile_is_the_greatest_magnitude() -> None:
    assert percentile(histogram_of(heavy_tail()), 100) == 100


# Entropy


def direct_divergence(counts: np.ndarray, end: int) -> float:
    """The KL divergence of cutting off at end, bin by bin as it is defined."""
    reference = counts[:end].copy()
    reference[-1] += counts[end:].sum()
    levels = np.arange(end) * LEVELS // end
    candidate = np.zeros(end)
    for level in range(LEVELS):
        filled = (levels == level) & (counts[:end] > 0)
        candidate[filled] = counts[:end][levels == level].sum() / max(filled.sum(), 1)
    p, q = reference / reference.sum(), candidate / candidate.sum()
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


def test_the_divergence_from_running_sums_is_the_direct_one() -> None:
    counts = histogram_of(heavy_tail()).nonzero_counts()
    ends = np.flatnonzero(counts)[np.flatnonzero(counts) >= LEVELS - 1][[0, 1, 2, -5, -1]] + 1
    expected = [direct_divergence(counts, end) for end in ends]
    np.testing.assert_allclose(_divergences(counts, ends), expected, rtol=1e-9, atol=1e-12)


def test_values_far_from_zero_are_not_clipped_to_the_least_of_them() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.05, 100_000)
    assert entropy(histogram_of(values)) > np.quantile(values, 0.9)


def test_zeros_do_not_move_the_entropy_threshold() -> None:
    values = heavy_tail()
    assert entropy(histogram_of(np.append(values, np.zeros(10 * len(values))))) == entropy(histogram_of(values))


# Mean squared error


def int8_error(values: np.ndarray, limit: float) -> float:
    step = limit / 127
    return float(np.mean((values - np.clip(np.rint(values / step), -127, 127) * step) ** 2))


@pytest.mark.parametrize("limit", [2.0, 4.3, 30.0, 100.0])
def test_the_error_from_the_histogram_is_that_of_int8_itself(limit: float) -> None:
    values = heavy_tail()
    assert mean_squared_error(histogram_of(values), limit) == pytest.approx(int8_error(values, limit), rel=0.02)


@given(values=VALUES)
@settings(max_examples=60, deadline=None)
def test_the_error_of_mse_is_not_above_that_of_minmax(values: np.ndarray) -> None:
    histogram = histogram_of(values)
    if histogram.magnitude:
        assert mean_squared_error(histogram, mse(histogram)) <= mean_squared_error(histogram, minmax(histogram))


def test_no_threshold_of_a_fine_grid_has_a_clearly_smaller_error_than_mse() -> None:
    histogram = histogram_of(heavy_tail())
    least = min(mean_squared_error(histogram, limit) for limit in np.linspace(0.1, 100, 4000))
    assert mean_squared_error(histogram, mse(histogram)) <= 1.001 * least


# Names


def test_an_unknown_method_is_refused_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="'percentile'"):
        Method("percentil")


@pytest.mark.parametrize("percent", [0.0, -1.0, 100.1, float("nan")])
def test_a_percentile_that_is_no_share_is_refused(percent: float) -> None:
    with pytest.raises(CalibrationError, match="the percentile is out of range"):
        Method("percentile", percent)


def test_the_method_percentile_needs_a_percentile() -> None:
    with pytest.raises(CalibrationError, match=r"needs a percentile; expected such as 99\.99"):
        Method("percentile")


def test_no_other_method_takes_a_percentile() -> None:
    with pytest.raises(CalibrationError, match=r"the method mse takes no percentile; got 99\.9"):
        Method("mse", 99.9)
