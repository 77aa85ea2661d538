from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.accuracy import bootstrap
from rtseg.accuracy.bootstrap import DifferenceIntervals, Interval, Overlaps, paired_bootstrap, resample_counts
from rtseg.errors import SpecError

FEW = 60
"""Resamples where their number does not matter."""


def overlaps(random: np.random.Generator, pictures: int, classes: int, *, absent: float = 0.0) -> Overlaps:
    """Return counts of made-up pictures, in a share of which a class is absent."""
    union = random.integers(1, 5000, (pictures, classes))
    union[random.random(union.shape) < absent] = 0
    return Overlaps(random.integers(0, union + 1), union)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Overlaps, Overlaps]:
    """Draw a candidate and a reference of the same pictures."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(2, 8)), draw(st.integers(2, 5))
    absent = draw(st.sampled_from([0.0, 0.5, 0.9]))
    return overlaps(random, *shape, absent=absent), overlaps(random, *shape, absent=absent)


def slow(candidate: Overlaps, reference: Overlaps, resamples: int, seed: int) -> DifferenceIntervals:
    """Return the intervals one resample, one class and one picture after the other."""

    def class_ious(figures: Overlaps, drawn: list[int]) -> list[float | None]:
        ious: list[float | None] = []
        for k in range(figures.union.shape[1]):
            both = sum(int(figures.intersection[picture, k]) for picture in drawn)
            either = sum(int(figures.union[picture, k]) for picture in drawn)
            ious.append(both / either if either else None)
        return ious

    def mean(values: list[float | None]) -> float | None:
        there = [value for value in values if value is not None]
        return sum(there) / len(there) if there else None

    def interval(differences: list[float | None], telling: int) -> Interval | None:
        there = [value for value in differences if value is not None]
        return Interval(*np.percentile(there, [2.5, 97.5])) if there and telling > 1 else None

    def minus(ours: float | None, theirs: float | None) -> float | None:
        return None if ours is None or theirs is None else ours - theirs

    pictures, classes = candidate.union.shape
    by_resample = []
    for counts in np.concatenate(list(resample_counts(pictures, resamples, seed))):
        drawn = [picture for picture in range(pictures) for _ in range(counts[picture])]
        by_resample.append((class_ious(candidate, drawn), class_ious(reference, drawn)))
    either = (candidate.union + reference.union) > 0
    return DifferenceIntervals(
        interval([minus(mean(a), mean(b)) for a, b in by_resample], int(either.any(1).sum())),
        tuple(interval([minus(a[k], b[k]) for a, b in by_resample], int(either[:, k].sum())) for k in range(classes)),
    )


def ends(intervals: DifferenceIntervals) -> list[list[float] | None]:
    return [None if each is None else list(each) for each in (intervals.miou, *intervals.class_iou)]


def assert_close(got: DifferenceIntervals, expected: DifferenceIntervals) -> None:
    for ours, theirs in zip(ends(got), ends(expected)):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(pairs(), st.integers(0, 1000))
def test_the_intervals_are_those_of_a_plain_loop(pair: tuple[Overlaps, Overlaps], seed: int) -> None:
    assert_close(paired_bootstrap(*pair, resamples=FEW, seed=seed), slow(*pair, FEW, seed))


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_a_segmenter_against_itself_has_intervals_of_zero(pair: tuple[Overlaps, Overlaps]) -> None:
    intervals = paired_bootstrap(pair[0], pair[0], resamples=FEW)
    assert {tuple(each) for each in ends(intervals) if each is not None} <= {(0.0, 0.0)}


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_swapping_candidate_and_reference_negates_the_intervals(pair: tuple[Overlaps, Overlaps]) -> None:
    swapped = paired_bootstrap(pair[1], pair[0], resamples=FEW)
    negated = [None if each is None else Interval(-each.high, -each.low) for each in (swapped.miou, *swapped.class_iou)]
    assert_close(paired_bootstrap(*pair, resamples=FEW), DifferenceIntervals(negated[0], tuple(negated[1:])))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 60))
def test_the_interval_holds_the_difference_that_was_measured(seed: int, pictures: int) -> None:
    random = np.random.default_rng(seed)
    candidate, reference = overlaps(random, pictures, 4), overlaps(random, pictures, 4)
    measured = [figures.intersection.sum(0) / figures.union.sum(0) for figures in (candidate, reference)]
    intervals = paired_bootstrap(candidate, reference)
    differences = [float((measured[0] - measured[1]).mean()), *(measured[0] - measured[1])]
    for difference, interval in zip(differences, ends(intervals)):
        assert interval is not None
        assert interval[0] < difference < interval[1]


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    # Both have a true IoU of 0.6 in one class and 0.5 in the other; pictures differ, and the two alike in each.
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        union = random.integers(400, 800, (40, 2))
        shared = random.normal(0, 0.1, union.shape)
        ours, theirs = (
            np.clip(np.array([0.6, 0.5]) + shared + random.normal(0, 0.03, union.shape), 0, 1) for _ in range(2)
        )
        figures = [Overlaps((union * rate).astype(np.int64), union) for rate in (ours, theirs)]
        interval = paired_bootstrap(figures[0], figures[1], resamples=400).miou
        assert interval is not None
        held += interval.low <= 0 <= interval.high
    assert 0.88 <= held / 200 <= 0.99


def test_pairing_makes_the_interval_narrower_than_the_pictures_differ() -> None:
    random = np.random.default_rng(1)
    union = np.full((30, 3), 10_000)
    rate = random.uniform(0.2, 0.9, union.shape)
    reference = Overlaps((union * rate).astype(np.int64), union)
    candidate = Overlaps((union * (rate - 0.01)).astype(np.int64), union)
    interval = paired_bootstrap(candidate, reference).miou
    assert interval is not None
    assert interval == pytest.approx((-0.01, -0.01), abs=2e-4)


@pytest.mark.parametrize("pictures", [1, 2, 7, 500])
def test_each_resample_draws_as_many_pictures_as_there_are(pictures: int) -> None:
    counts = np.concatenate(list(resample_counts(pictures, 100)))
    assert counts.shape == (100, pictures)
    assert (counts.sum(1) == pictures).all() and (counts >= 0).all()


def test_every_picture_is_drawn_equally_often() -> None:
    counts = np.concatenate(list(resample_counts(10, 20_000)))
    # A count is binomial(10, 1/10): its mean over 20000 resamples has a standard error of 0.0067.
    assert np.abs(counts.mean(0) - 1).max() < 5 * 0.0067
    assert counts.var(0) == pytest.approx(np.full(10, 0.9), abs=0.05)


def test_the_resamples_do_not_depend_on_how_many_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(resample_counts(7, 50)))
    monkeypatch.setattr(bootstrap, "_CHUNK_BYTES", 3 * 8 * 7)
    chunks = list(resample_counts(7, 50))
    assert [len(chunk) for chunk in chunks] == [3] * 16 + [2]
    assert (np.concatenate(chunks) == whole).all()


def test_one_picture_gives_no_interval() -> None:
    random = np.random.default_rng(0)
    intervals = paired_bootstrap(overlaps(random, 1, 3), overlaps(random, 1, 3))
    assert intervals == DifferenceIntervals(None, (None, None, None))


def test_a_class_that_one_picture_alone_tells_of_has_no_interval() -> None:
    random = np.random.default_rng(0)
    candidate, reference = overlaps(random, 6, 3), overlaps(random, 6, 3)
    for figures in (candidate, reference):
        figures.union[1:, 2] = figures.intersection[1:, 2] = 0
    intervals = paired_bootstrap(candidate, reference)
    assert intervals.class_iou[2] is None
    assert intervals.miou is not None and intervals.class_iou[0] is not None


def test_pictures_without_a_labelled_pixel_give_no_interval() -> None:
    nothing = Overlaps(np.zeros((5, 2), np.int64), np.zeros((5, 2), np.int64))
    assert paired_bootstrap(nothing, nothing) == DifferenceIntervals(None, (None, None))


def test_other_pictures_are_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(SpecError, match="different numbers of pictures or classes"):
        paired_bootstrap(overlaps(random, 3, 2), overlaps(random, 4, 2))


def peak_bytes(pictures: int) -> int:
    random = np.random.default_rng(0)
    candidate, reference = overlaps(random, pictures, 19), overlaps(random, pictures, 19)
    tracemalloc.start()
    try:
        paired_bootstrap(candidate, reference)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_holds_a_few_resamples_at_once_whatever_the_number_of_pictures() -> None:
    all_counts = 2000 * 4000 * 8
    assert peak_bytes(500) < all_counts / 4
    assert peak_bytes(4000) < all_counts / 4
