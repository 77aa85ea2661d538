"""The C++ and the NumPy counting give the same bits, and both what the words say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rtseg
from rtseg.calibration import counting
from rtseg.calibration.counting import BINS, MAX_EXPONENT, MIN_EXPONENT, count_magnitudes, value_range
from rtseg.frame import native_library

HEADER = (Path(rtseg.__file__).parent / "native" / "rtseg_core.h").read_text()
ANY_FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)
needs_library = pytest.mark.skipif(native_library.core() is None, reason=native_library.why_none() or "built")


def arrays(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, st.integers(1, 700), elements=elements, fill=elements)


@pytest.fixture(params=["native", "numpy"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations in turn; the native one where it could be built."""
    if request.param == "numpy":
        monkeypatch.setenv(native_library.CHOICE, "numpy")
    elif native_library.core() is None:
        pytest.skip(native_library.why_none())


@needs_library
@given(values=arrays(ANY_FLOATS), exponent=st.integers(MIN_EXPONENT, MAX_EXPONENT), threads=st.integers(0, 3))
@example(values=np.array([1e-45, -1e-45, 0, -0.0], np.float32), exponent=MIN_EXPONENT, threads=1)
@settings(max_examples=200, deadline=None)
def test_whatever_the_values_both_count_the_same(values: np.ndarray, exponent: int, threads: int) -> None:
    native, plain = np.full(BINS, 7, np.uint64), np.full(BINS, 7, np.uint64)
    count_magnitudes(values, exponent, native, threads=threads)
    counting._numpy_count(values, exponent, plain)
    np.testing.assert_array_equal(native, plain)


@needs_library
@given(values=arrays(ANY_FLOATS), threads=st.integers(0, 3))
@example(values=np.array([-0.0], np.float32), threads=1)
@example(values=np.array([0.0, -np.nan], np.float32), threads=1)
@example(values=np.finfo(np.float32).max * np.array([1, -1], np.float32), threads=1)
@settings(max_examples=200, deadline=None)
def test_whatever_the_values_both_give_the_same_range(values: np.ndarray, threads: int) -> None:
    native, plain = value_range(values, threads=threads), counting._numpy_range(values)
    assert native == plain
    if native is not None and plain is not None:
        assert np.signbit(native[:2]).tolist() == np.signbit(plain[:2]).tolist()


@needs_library
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_many_values_are_counted_the_same_by_any_number_of_threads(threads: int) -> None:
    values = np.random.default_rng(0).standard_normal(500_001).astype(np.float32)
    values[::3] = 0
    native, plain = np.zeros(BINS, np.uint64), np.zeros(BINS, np.uint64)
    count_magnitudes(values, -9, native, threads=threads)
    counting._numpy_count(values, -9, plain)
    np.testing.assert_array_equal(native, plain)
    assert value_range(values, threads=threads) == counting._numpy_range(values)


@pytest.mark.usefixtures("core")
def test_a_value_counts_where_its_magnitude_lies_and_the_greatest_in_the_last_bin() -> None:
    counts = np.zeros(BINS, np.uint64)
    count_magnitudes(np.array([0, -0.0, 0.24, -0.25, 1, 1e30, np.inf, np.nan], np.float32), -2, counts)
    assert {int(i): int(counts[i]) for i in np.flatnonzero(counts)} == {0: 3, 1: 1, 4: 1, BINS - 1: 3}


@pytest.mark.usefixtures("core")
def test_the_range_has_the_least_the_greatest_and_the_zeros() -> None:
    assert value_range(np.array([[3, -0.0], [0, -7]], np.float32)) == (-7, 3, 2)


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 70_000, 199_999])
def test_one_value_that_is_not_finite_leaves_no_range(bad: float, place: int) -> None:
    values = np.ones(200_000, np.float32)
    values[place] = bad
    assert value_range(values, threads=2) is None


@pytest.mark.usefixtures("core")
def test_values_with_gaps_between_them_count_as_they_are() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    counts = np.zeros(BINS, np.uint64)
    count_magnitudes(values, 0, counts)
    assert np.flatnonzero(counts).tolist() == [0, 2, 4, 6, 8, 10]
    assert value_range(values) == (0, 10, 1)


def test_the_greatest_float32_falls_into_the_last_bin_of_the_widest() -> None:
    assert int(np.finfo(np.float32).max / 2.0**MAX_EXPONENT) == BINS - 1


def test_python_and_the_header_agree_on_bins_and_exponents() -> None:
    stated = {name: int(value) for name, value in re.findall(r"^#define RTSEG_(\w+) \(?(-?\d+)\)?$", HEADER, re.M)}
    assert (stated["MAGNITUDE_BINS"], stated["MIN_BIN_EXPONENT"], stated["MAX_BIN_EXPONENT"]) == (
        BINS,
        MIN_EXPONENT,
        MAX_EXPONENT,
    )
