from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rtseg.calibration.counting import BINS
from rtseg.calibration.histograms import HistogramSet, NotFiniteError, bin_exponent

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
VALUES = hnp.arrays(np.float32, st.integers(1, 300), elements=FINITE, fill=FINITE)


def of_batches(*batches: np.ndarray) -> HistogramSet:
    histograms = HistogramSet(["x"])
    for batch in batches:
        histograms.add("x", batch, threads=1)
    return histograms


def assert_same(one: HistogramSet, other: HistogramSet) -> None:
    for name, array in one.arrays().items():
        assert array.tobytes() == other.arrays()[name].tobytes(), name


@given(values=VALUES, data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_order_and_any_batches_give_the_histogram_of_all_at_once(values: np.ndarray, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(values))))
    cuts = data.draw(st.lists(st.integers(1, len(values) - 1), unique=True) if len(values) > 1 else st.just([]))
    batches = np.split(values[order], sorted(cuts))
    assert_same(of_batches(*batches), of_batches(values))


@given(values=VALUES)
@settings(max_examples=100, deadline=None)
def test_a_histogram_is_that_of_the_exact_magnitudes(values: np.ndarray) -> None:
    histogram = of_batches(values).histogram("x")
    bins = np.floor(np.abs(values.astype(np.float64)) / histogram.width).astype(int)
    np.testing.assert_array_equal(histogram.counts, np.bincount(bins, minlength=BINS))
    assert (histogram.minimum, histogram.maximum) == (values.min(), values.max())
    assert histogram.magnitude == np.abs(values).max()
    assert (histogram.count, histogram.zeros) == (values.size, int((values == 0).sum()))


@given(values=VALUES)
@settings(max_examples=100, deadline=None)
def test_the_greatest_magnitude_falls_into_the_upper_half_so_no_bin_is_wasted(values: np.ndarray) -> None:
    histogram = of_batches(values).histogram("x")
    if histogram.magnitude >= 1e-30:  # below, the narrowest bins are too wide
        assert BINS // 2 < histogram.bins <= BINS


def test_a_thousandfold_magnitude_makes_wider_bins_and_loses_no_count() -> None:
    small = np.linspace(0, 1, 1001, dtype=np.float32)
    histogram = of_batches(small, np.array([1000], np.float32)).histogram("x")
    assert histogram.width == 0.25
    assert histogram.counts[:5].tolist() == [250, 250, 250, 250, 1]
    assert histogram.counts[4000] == 1


def test_zeros_first_leave_no_trace_in_the_width() -> None:
    tiny = np.array([2.0**-40], np.float32)
    assert_same(of_batches(np.zeros(3, np.float32), tiny), of_batches(tiny, np.zeros(3, np.float32)))


def test_what_is_not_finite_is_refused_and_nothing_of_it_counts() -> None:
    histograms = of_batches(np.array([1, 2], np.float32))
    before = histograms.copy()
    with pytest.raises(NotFiniteError, match="x"):
        histograms.add("x", np.array([5, np.nan], np.float32))
    assert_same(histograms, before)


def test_a_copy_goes_its_own_way() -> None:
    histograms = of_batches(np.array([1], np.float32))
    copy = histograms.copy()
    histograms.add("x", np.array([64], np.float32))
    assert copy.histogram("x").maximum == 1


def test_memory_does_not_depend_on_what_was_seen() -> None:
    histograms = HistogramSet(["a", "b"])
    before = sum(array.nbytes for array in histograms.arrays().values())
    for exponent in range(-100, 100, 10):
        histograms.add("a", np.full(1000, 2.0**exponent, np.float32))
    assert sum(array.nbytes for array in histograms.arrays().values()) == before


def test_arrays_of_another_shape_make_no_set() -> None:
    arrays = HistogramSet(["a", "b"]).arrays()
    with pytest.raises(ValueError, match="counts"):
        HistogramSet.from_arrays(["a"], arrays)


@pytest.mark.parametrize(("magnitude", "exponent"), [(1.0, -11), (0.999, -12), (4095.5, 0), (4096.0, 1), (0.0, -126)])
def test_bins_are_the_narrowest_that_reach_the_magnitude(magnitude: float, exponent: int) -> None:
    assert bin_exponent(magnitude) == exponent
