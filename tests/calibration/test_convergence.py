from __future__ import annotations

import pytest

from rtseg.calibration.convergence import LEAST_PICTURES, NAMED, convergence, stages


@pytest.mark.parametrize(
    ("pictures", "expected"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (2, 4, 8)), (101, (26, 51, 101))]
)
def test_thresholds_are_compared_after_a_quarter_half_and_all(pictures: int, expected: tuple[int, ...]) -> None:
    assert stages(pictures) == expected


def report(half: dict[str, float], final: dict[str, float], pictures: int = 100) -> dict:
    return convergence({pictures // 2: half, pictures: final})


def tensors(*values: float) -> dict[str, float]:
    return {f"tensor{index}": value for index, value in enumerate(values)}


def test_a_stage_has_the_median_the_greatest_and_those_that_moved_most() -> None:
    stage, last = report(tensors(1, 1, 1.5, 0.5, 1), tensors(1, 1, 1, 2, 1))["stages"]
    assert (stage["pictures"], stage["median_change"], stage["greatest_change"]) == (50, 0, 0.75)
    assert stage["moved_most"] == {"tensor3": 0.75, "tensor2": 0.5}
    assert stage["moved_share"] == 0.4
    assert (last["pictures"], last["greatest_change"], last["moved_most"]) == (100, 0, {})


def test_only_a_few_tensors_are_named() -> None:
    stage = report(tensors(*[1.0] * 20), tensors(*[2.0] * 20))["stages"][0]
    assert len(stage["moved_most"]) == NAMED


def test_thresholds_that_stay_have_settled() -> None:
    assert report(tensors(1, 2, 3), tensors(1, 2, 3))["settled"]


def test_a_median_that_moved_by_more_than_two_per_cent_has_not_settled() -> None:
    final = tensors(*[100.0] * 9)
    assert report(tensors(*[98.1] * 9), final)["settled"]
    assert not report(tensors(*[97.9] * 9), final)["settled"]


def test_more_than_a_twentieth_that_moved_by_a_tenth_has_not_settled() -> None:
    final = tensors(*[100.0] * 40)
    assert report(tensors(*[80.0] * 2, *[100.0] * 38), final)["settled"]
    assert not report(tensors(*[80.0] * 3, *[100.0] * 37), final)["settled"]


def test_too_few_pictures_never_count_as_settled() -> None:
    for pictures, settled in ((LEAST_PICTURES - 2, False), (LEAST_PICTURES, True)):
        assert report(tensors(1), tensors(1), pictures)["settled"] is settled
    assert not convergence({1: tensors(1)})["settled"]
