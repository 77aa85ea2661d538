"""What label maps, one above the other, are counted to, and what the gate says of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rtseg.accuracy.borders import border_band
from rtseg.accuracy.comparison import Comparison
from rtseg.accuracy.comparison_count import ComparisonCount
from rtseg.accuracy.confusion import AccuracyResult, ConfusionMatrix
from rtseg.accuracy.gate import Gate
from rtseg.datasets.registry import class_spec
from rtseg.errors import AccuracyLossError, DatasetError, SpecError

THREE = class_spec("3")
VOID = 255
Rows = list[list[int]]


def compared(*pictures: tuple[Rows, Rows, Rows | None]) -> Comparison:
    """Return the comparison of pictures, each as (reference, candidate, truth)."""
    labelled = pictures[0][2] is not None
    count = ComparisonCount(THREE, THREE if labelled else None)
    for maps in pictures:
        reference, candidate, truth = (None if rows is None else np.array(rows, np.uint8) for rows in maps)
        assert reference is not None and candidate is not None
        count.add(reference, candidate, truth)
    return count.result()


HALVES = [[0] * 8 + [1] * 8] * 4
"""Four rows: eight pixels of class 0, eight of class 1."""


def shifted(columns: int) -> Rows:
    """Return HALVES with class 1 starting so many columns later."""
    return [[0] * (8 + columns) + [1] * (8 - columns)] * 4


def require(comparison: Comparison, max_drop: float | None = None, min_agreement: float | None = None) -> None:
    Gate(max_drop, min_agreement).verdict(comparison).require()


def test_the_difference_is_in_points_and_of_the_candidate() -> None:
    comparison = compared((HALVES, shifted(4), HALVES))
    # Class 0: 8 / 12, class 1: 4 / 8.
    assert comparison.reference is not None and comparison.reference.miou == 1
    assert comparison.candidate is not None and comparison.candidate.class_iou == (8 / 12, 4 / 8, None)
    assert comparison.difference == pytest.approx((8 / 12 + 4 / 8) / 2 * 100 - 100)
    assert comparison.drop == pytest.approx(-(comparison.difference or 0))
    differences = {entry.name: entry.difference for entry in comparison.classes}
    assert differences == {"class 0": pytest.approx(-100 / 3), "class 1": pytest.approx(-50), "class 2": None}


def test_one_picture_gives_no_interval_and_two_do() -> None:
    picture = (HALVES, shifted(4), HALVES)
    assert compared(picture).interval is None
    two = compared(picture, (HALVES, shifted(2), HALVES))
    assert two.interval is not None and two.drop_interval is not None
    assert two.interval.low < (two.difference or 0) < two.interval.high
    assert two.drop_interval == (-two.interval.high, -two.interval.low)


def test_pixel_agreement_and_that_near_the_references_borders() -> None:
    # 2 columns of 16 differ, both of them among the 6 within 3 pixels of the border of the reference.
    agreement = compared((HALVES, shifted(2), None)).agreement
    assert (agreement.share, agreement.pixels) == (14 / 16, 64)
    assert (agreement.border_share, agreement.border_pixels) == (4 / 6, 24)


def test_agreement_counts_pixels_that_the_truth_leaves_void() -> None:
    comparison = compared((HALVES, shifted(2), [[VOID] * 15 + [1]] * 4))
    assert comparison.agreement.share == 14 / 16
    assert comparison.difference == 0


def test_a_reference_without_borders_has_no_border_agreement() -> None:
    agreement = compared(([[1, 1]], [[1, 0]], None)).agreement
    assert (agreement.share, agreement.border_share, agreement.border_pixels) == (1 / 2, None, 0)


def test_agreement_by_class_is_the_iou_of_the_two_maps() -> None:
    comparison = compared((HALVES, shifted(4), None))
    assert comparison.agreement.class_iou == (8 / 12, 4 / 8, None)
    assert comparison.agreement.class_share == (1 / 2, 1 / 2, 0)


def test_without_labels_there_is_agreement_and_nothing_else() -> None:
    comparison = compared((HALVES, shifted(4), None), (HALVES, HALVES, None))
    assert not comparison.labelled
    assert (comparison.reference, comparison.candidate, comparison.difference, comparison.drop) == (None,) * 4
    assert (comparison.interval, comparison.drop_interval) == (None, None)
    assert {entry.reference_iou for entry in comparison.classes} == {None}


def test_thin_classes_stand_first_and_those_that_do_not_occur_last() -> None:
    truth = [[0] * 20 + [2] * 2 + [0] * 20] * 4
    comparison = compared((truth, truth, truth))
    assert [(entry.name, entry.border_share) for entry in comparison.classes] == [
        ("class 2", 1),
        ("class 0", 6 / 40),
        ("class 1", None),
    ]


def test_thinness_is_that_of_the_truth_and_without_labels_that_of_the_reference() -> None:
    pole = [[0] * 20 + [1] * 4 + [0] * 20] * 4
    wall = [[0] * 20 + [1] * 24] * 4
    assert [entry.border_share for entry in compared((pole, pole, wall)).classes[:2]] == [3 / 20, 3 / 24]
    assert [entry.border_share for entry in compared((pole, wall, None)).classes[:2]] == [1, 6 / 40]


LABEL_MAPS = arrays(np.uint8, (3, 6, 9), elements=st.sampled_from([0, 1, 2]))
TRUTHS = arrays(np.uint8, (3, 6, 9), elements=st.sampled_from([0, 1, 2, VOID]))


def figures(truths: np.ndarray, predictions: np.ndarray) -> AccuracyResult:
    matrix = ConfusionMatrix(THREE)
    for truth, predicted in zip(truths, predictions):
        matrix.add(truth, predicted)
    return matrix.result()


@settings(deadline=None)
@given(LABEL_MAPS, LABEL_MAPS, TRUTHS.filter(lambda truths: bool((truths != VOID).any())))
def test_both_results_are_those_of_a_validation_alone(
    references: np.ndarray, candidates: np.ndarray, truths: np.ndarray
) -> None:
    count = ComparisonCount(THREE, THREE)
    for maps in zip(references, candidates, truths):
        count.add(*maps)
    comparison = count.result()
    assert comparison.reference == figures(truths, references)
    assert comparison.candidate == figures(truths, candidates)


@settings(deadline=None)
@given(LABEL_MAPS, LABEL_MAPS)
def test_agreement_is_that_of_counting_pixel_by_pixel(references: np.ndarray, candidates: np.ndarray) -> None:
    count = ComparisonCount(THREE)
    for maps in zip(references, candidates):
        count.add(*maps, None)
    agreement = count.result().agreement
    band = np.stack([border_band(labels) for labels in references])
    equal = references == candidates
    assert agreement.share == equal.sum() / equal.size
    assert agreement.border_pixels == band.sum()
    assert agreement.border_share == ((equal & band).sum() / band.sum() if band.any() else None)


def test_no_picture_is_refused() -> None:
    with pytest.raises(DatasetError, match="no picture to compare on"):
        ComparisonCount(THREE, THREE).result()


def test_pictures_without_a_labelled_pixel_are_refused_with_the_way_out() -> None:
    void = [[VOID] * 16] * 4
    with pytest.raises(DatasetError, match=r"no pixel of the 2 pictures is labelled\. Try: pass --data images:FOLDER"):
        compared((HALVES, HALVES, void), (HALVES, shifted(1), void))


@pytest.mark.parametrize("truth_classes", [None, THREE])
def test_a_truth_where_none_was_announced_or_none_where_one_was_is_a_mistake_of_the_program(
    truth_classes: object,
) -> None:
    labels = np.zeros((2, 2), np.uint8)
    with pytest.raises(TypeError, match="if the comparison has truth classes"):
        ComparisonCount(THREE, truth_classes).add(labels, labels, labels if truth_classes is None else None)  # type: ignore[arg-type]


def test_a_comparison_is_json_with_units_in_its_names() -> None:
    comparison = compared((HALVES, shifted(4), HALVES), (HALVES, shifted(2), HALVES))
    plain = json.loads(json.dumps(comparison.to_json()))
    assert plain["difference_points"] == comparison.difference
    assert plain["interval_points"] == list(comparison.interval or ())
    assert plain["candidate"]["miou"] == comparison.candidate.miou  # type: ignore[union-attr]
    assert [entry["name"] for entry in plain["classes"]] == [entry.name for entry in comparison.classes]
    assert plain["classes"][0]["interval_points"] == list(comparison.classes[0].interval or ())


# The gate

LOSS = ((1 - 8 / 12) + (1 - 4 / 8)) / 2 * 100
"""The drop of shifted(4) against HALVES in points."""


def test_a_drop_within_the_bound_passes() -> None:
    require(compared((HALVES, shifted(4), HALVES)), max_drop=LOSS)


def test_a_drop_beyond_the_bound_says_what_was_measured_allowed_and_lost() -> None:
    comparison = compared((HALVES, shifted(4), HALVES), (HALVES, shifted(4), HALVES))
    with pytest.raises(AccuracyLossError) as refused:
        require(comparison, max_drop=33.5)
    assert str(refused.value) == (
        "the mIoU dropped too far; got 41.67 points (100.00 % to 58.33 %, 95 % interval of the drop 41.67 to 41.67); "
        "expected at most 33.5. Classes that lost more: class 1 50.00"
    )


def test_the_classes_that_lost_more_stand_with_the_worst_first() -> None:
    verdict = Gate(max_drop=1).verdict(compared((HALVES, shifted(4), HALVES)))
    assert verdict.losers == (("class 1", pytest.approx(50)), ("class 0", pytest.approx(100 / 3)))


def test_a_class_that_lost_more_is_told_even_where_the_mean_held() -> None:
    verdict = Gate(max_drop=45).verdict(compared((HALVES, shifted(4), HALVES)))
    assert verdict.passed
    assert [name for name, _ in verdict.losers] == ["class 1"]


def test_a_drop_that_no_class_has_by_itself_says_so() -> None:
    # The candidate sees a class that neither is there nor was seen before: one more IoU, of zero, in the mean.
    seen = [[2, *row[1:]] for row in HALVES]
    with pytest.raises(AccuracyLossError, match="Classes that lost more: no single class"):
        require(compared((HALVES, seen, HALVES)), max_drop=20)


def test_a_gain_passes_a_bound_of_zero() -> None:
    require(compared((shifted(4), HALVES, HALVES)), max_drop=0)


def test_the_same_labels_pass_the_strictest_gate() -> None:
    require(compared((shifted(3), shifted(3), HALVES)), max_drop=0, min_agreement=100)


def test_too_little_agreement_says_how_much() -> None:
    with pytest.raises(AccuracyLossError, match=r"too few pixels agree .* got 87\.50 %; expected at least 99 %"):
        require(compared((HALVES, shifted(2), None)), min_agreement=99)


def test_agreement_of_exactly_the_bound_passes() -> None:
    require(compared((HALVES, shifted(2), None)), min_agreement=87.5)


def test_both_bounds_are_told_in_one_line() -> None:
    with pytest.raises(AccuracyLossError, match=r"dropped too far.*\. Also, too few pixels agree") as refused:
        require(compared((HALVES, shifted(4), HALVES)), max_drop=1, min_agreement=99)
    assert "\n" not in str(refused.value)


def test_a_drop_without_labels_is_refused_with_the_bound_there_is() -> None:
    with pytest.raises(DatasetError, match=r"without labels there is no mIoU .* Try: use --min-agreement"):
        require(compared((HALVES, HALVES, None)), max_drop=1)


@pytest.mark.parametrize("bound", [-0.1, 100.1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["max_drop", "min_agreement"])
def test_a_bound_that_is_none_is_refused(name: str, bound: float) -> None:
    with pytest.raises(SpecError, match=r"is out of range; got .* expected 0 to 100"):
        Gate(**{name: bound})


def mixed() -> Comparison:
    """Return a comparison in which one picture lost much and the other nothing."""
    return compared((HALVES, shifted(6), HALVES), (HALVES, HALVES, HALVES))


def test_a_verdict_is_certain_when_the_whole_interval_lies_on_one_side() -> None:
    low, high = mixed().drop_interval or (0, 0)
    assert low < (mixed().drop or 0) < high
    for bound, passed, certain in ((high + 1, True, True), (high - 1, True, False), (low + 1, False, False)):
        verdict = Gate(max_drop=bound).verdict(mixed())
        assert (verdict.passed, verdict.certain) == (passed, certain), bound
    assert Gate(max_drop=1).verdict(compared(*[(HALVES, shifted(4), HALVES)] * 2)).certain


def test_a_verdict_from_one_picture_is_never_certain() -> None:
    verdict = Gate(max_drop=100).verdict(compared((HALVES, HALVES, HALVES)))
    assert (verdict.passed, verdict.certain) == (True, False)


def test_a_gate_without_a_bound_on_the_drop_is_neither_certain_nor_uncertain() -> None:
    assert Gate(min_agreement=50).verdict(mixed()).certain is None


def test_a_verdict_is_json() -> None:
    plain = json.loads(json.dumps(Gate(1, 99).verdict(compared((HALVES, shifted(4), HALVES))).to_json()))
    assert (plain["max_drop_points"], plain["min_agreement_percent"], plain["passed"]) == (1, 99, False)
    assert plain["classes_that_lost_more"] == {"class 1": pytest.approx(50), "class 0": pytest.approx(100 / 3)}
    assert len(plain["failures"]) == 2
