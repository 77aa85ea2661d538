from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtseg.benchmarking.statistics import median_ranks, nearest_rank, summarize
from rtseg.errors import SpecError

MS = 1_000_000
# How long an example takes is not what is tested here.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
latencies_ns = st.lists(st.integers(1, 10**12), min_size=1, max_size=300)


def test_summary_of_ten_samples_matches_the_values_computed_by_hand():
    summary = summarize([value * MS for value in (7, 1, 10, 4, 2, 9, 3, 8, 6, 5)])
    assert summary.count == 10
    assert summary.min_ms == 1
    assert summary.median_ms == 5.5
    assert (summary.median_low_ms, summary.median_high_ms) == (2, 9)
    assert (summary.p90_ms, summary.p99_ms) == (9, 10)
    assert summary.mean_ms == 5.5
    assert summary.cv == pytest.approx(math.sqrt(82.5 / 9) / 5.5)
    assert summary.fps == pytest.approx(1000 / 5.5)


def test_half_width_of_the_median_is_a_fraction_of_the_median():
    assert summarize([value * MS for value in range(1, 11)]).median_half_width == pytest.approx(3.5 / 5.5)


def test_p99_of_few_samples_is_the_slowest():
    assert summarize([1 * MS] * 98 + [50 * MS]).p99_ms == 50


def test_p99_of_a_hundred_samples_leaves_one_above():
    assert summarize([value * MS for value in range(1, 101)]).p99_ms == 99


def test_five_samples_give_no_interval_of_the_median():
    summary = summarize([1, 2, 3, 4, 5])
    assert (summary.median_low_ms, summary.median_high_ms, summary.median_half_width) == (None, None, None)


def test_six_samples_bound_the_median_by_their_extremes():
    summary = summarize([value * MS for value in (1, 2, 3, 4, 5, 6)])
    assert (summary.median_low_ms, summary.median_high_ms) == (1, 6)


# The ranks of published tables of the sign test, alpha 5 % on two sides.
@pytest.mark.parametrize(
    ("count", "ranks"), [(6, (1, 6)), (9, (2, 8)), (10, (2, 9)), (20, (6, 15)), (25, (8, 18)), (100, (40, 61))]
)
def test_ranks_around_the_median_match_the_tables(count, ranks):
    assert median_ranks(count) == ranks


@pytest.mark.parametrize("count", [*range(1, 60), 199, 200, 1001])
def test_ranks_around_the_median_match_exact_integers(count):
    # tails[r - 1] is P(fewer than r of count samples lie below the median) * 2 ** count.
    tails = list(itertools.accumulate(math.comb(count, below) for below in range(count // 2)))
    low = max((rank for rank, tail in enumerate(tails, 1) if 40 * tail <= 2**count), default=None)
    assert median_ranks(count) == (None if low is None else (low, count + 1 - low))


def test_ranks_of_a_hundred_thousand_samples_follow_the_normal_approximation():
    low, high = median_ranks(100_000)
    assert low + high == 100_001
    assert low == pytest.approx(50_000 - 1.96 * math.sqrt(100_000) / 2, abs=2)


def test_single_sample_has_no_coefficient_of_variation():
    assert summarize([5 * MS]).cv is None


def test_equal_samples_have_a_coefficient_of_variation_of_zero():
    assert summarize([5 * MS] * 7).cv == 0


def test_median_that_the_clock_reads_as_zero_has_no_frame_rate():
    summary = summarize([0] * 8)
    assert (summary.fps, summary.cv, summary.median_half_width) == (None, None, None)


def test_no_samples_are_refused():
    with pytest.raises(SpecError, match="no samples"):
        summarize([])


def test_negative_latency_is_refused():
    with pytest.raises(SpecError, match="negative; got -1 ns"):
        summarize([3, -1, 2])


def test_json_holds_every_figure_as_a_plain_value():
    summary = summarize([3 * MS] * 6)
    assert json.loads(json.dumps(summary.to_json()))["median_high_ms"] == 3
    assert set(summary.to_json()) >= {"count", "min_ms", "p90_ms", "p99_ms", "mean_ms", "cv", "fps", "median_low_ms"}


@untimed
@given(latencies_ns)
def test_figures_are_in_order(samples_ns):
    summary = summarize(samples_ns)
    assert summary.min_ms <= summary.median_ms
    assert summary.p90_ms <= summary.p99_ms <= max(samples_ns) / MS
    if summary.median_low_ms is not None:
        assert summary.min_ms <= summary.median_low_ms <= summary.median_ms <= summary.median_high_ms


@untimed
@given(latencies_ns, st.integers(1, 100))
def test_nearest_rank_is_the_first_that_covers_the_percentage(samples_ns, percent):
    rank, count = nearest_rank(percent, len(samples_ns)), len(samples_ns)
    assert 1 <= rank <= count
    assert 100 * rank >= percent * count > 100 * (rank - 1)


@untimed
@given(latencies_ns)
def test_percentiles_are_latencies_that_occurred(samples_ns):
    summary = summarize(samples_ns)
    occurred = {value / MS for value in samples_ns}
    assert {summary.p90_ms, summary.p99_ms, summary.min_ms} <= occurred


@untimed
@given(latencies_ns, st.randoms(use_true_random=False))
def test_order_of_the_samples_does_not_matter(samples_ns, random):
    shuffled = samples_ns[:]
    random.shuffle(shuffled)
    assert summarize(shuffled) == summarize(samples_ns)
