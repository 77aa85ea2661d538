from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rtseg.accuracy.confusion import AccuracyResult, ConfusionMatrix
from rtseg.datasets.registry import class_spec
from rtseg.errors import SpecError

THREE = class_spec("3")
VOID = 255


def matrix(*pairs: tuple[list[int], list[int]]) -> ConfusionMatrix:
    """Return the matrix of pictures of one row, each as (truth, prediction)."""
    counted = ConfusionMatrix(THREE)
    for truth, predicted in pairs:
        counted.add(np.array([truth], np.uint8), np.array([predicted], np.uint8))
    return counted


def result(*pairs: tuple[list[int], list[int]]) -> AccuracyResult:
    return matrix(*pairs).result()


def test_rows_are_the_truth_and_columns_the_prediction() -> None:
    counted = matrix(([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 0]))
    assert counted.counts.tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]


def test_the_figures_of_a_hand_made_matrix() -> None:
    # [[2, 1, 0], [0, 1, 1], [1, 0, 0]]: IoU 2/4, 1/3, 0/2
    figures = result(([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 0]))
    assert figures.class_iou == (2 / 4, 1 / 3, 0 / 2)
    assert figures.miou == pytest.approx((1 / 2 + 1 / 3) / 3)
    assert figures.pixel_accuracy == 3 / 6
    assert figures.mean_class_accuracy == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert figures.class_share == (3 / 6, 2 / 6, 1 / 6)
    assert figures.pixels == 6


def test_pictures_are_added_up_and_not_averaged() -> None:
    # Averaged picture by picture class 0 would have (1 + 1/2) / 2.
    figures = result(([0], [0]), ([0, 0, 0, 0], [0, 0, 1, 1]))
    assert figures.class_iou[0] == 3 / 5


def test_void_is_not_counted_whatever_was_predicted() -> None:
    with_void = result(([0, 1, VOID, VOID, VOID], [0, 0, 0, 1, 2]))
    assert with_void == result(([0, 1], [0, 0]))
    assert with_void.pixels == 2


def test_a_prediction_outside_the_classes_counts_against_the_truth() -> None:
    figures = result(([0, 0, 0, 1], [0, 7, VOID, 1]))
    assert figures.class_iou == (1 / 3, 1, None)
    assert figures.pixel_accuracy == 2 / 4
    assert figures.pixels == 4


def test_a_class_neither_true_nor_predicted_is_left_out_of_the_mean() -> None:
    figures = result(([0, 0, 1, 1], [0, 1, 1, 1]))
    assert figures.class_iou == (1 / 2, 2 / 3, None)
    assert figures.miou == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_class_predicted_where_it_never_is_counts_as_zero() -> None:
    figures = result(([0, 0], [0, 2]))
    assert figures.class_iou == (1 / 2, None, 0)
    assert figures.miou == 1 / 4
    assert figures.mean_class_accuracy == 1 / 2


def test_everything_right_is_one() -> None:
    figures = result(([0, 1, 2], [0, 1, 2]))
    assert (figures.miou, figures.pixel_accuracy, figures.mean_class_accuracy) == (1, 1, 1)


def test_nothing_labelled_has_no_figures() -> None:
    figures = result(([VOID, VOID], [0, 1]))
    assert (figures.miou, figures.pixel_accuracy, figures.mean_class_accuracy) == (None, None, None)
    assert figures.class_share == (0, 0, 0)


def test_counts_beyond_32_bits_stay_exact() -> None:
    counted = matrix(([0, 1], [0, 0]))
    for _ in range(40):
        counted._counts *= 2
    figures = counted.result()
    assert figures.pixels == 2 << 40
    assert figures.class_iou == (1 / 2, 0, None)


def test_the_matrix_handed_out_is_a_copy() -> None:
    counted = matrix(([0], [0]))
    counted.counts[0, 0] = 99
    assert counted.counts[0, 0] == 1


def test_unequal_sizes_are_refused_with_both() -> None:
    with pytest.raises(SpecError, match=r"differ in size; got \(1, 2\); expected \(1, 3\)"):
        matrix(([0, 0, 0], [0, 0]))


def test_a_truth_outside_the_classes_is_refused() -> None:
    with pytest.raises(SpecError, match="a true label is out of range; got 3; expected 0 to 2, or 255 for void"):
        matrix(([0, 3], [0, 0]))


def test_a_refused_picture_leaves_the_counts_alone() -> None:
    counted = matrix(([0], [0]))
    with pytest.raises(SpecError):
        counted.add(np.array([[0, 3]], np.uint8), np.array([[0, 0]], np.uint8))
    assert counted.counts.sum() == 1


def test_the_result_is_json_with_the_classes_by_name() -> None:
    plain = result(([0, 0, 1], [0, 1, 1])).to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["class_iou"] == {"class 0": 1 / 2, "class 1": 1 / 2, "class 2": None}
    assert plain["miou"] == 1 / 2


def slow_reference(truth: np.ndarray, predicted: np.ndarray) -> tuple[list[float | None], float | None]:
    """Return class IoUs and pixel accuracy, pixel by pixel and set by set."""
    pixels = [(int(t), int(p)) for t, p in zip(truth.ravel(), predicted.ravel()) if t != VOID]
    ious: list[float | None] = []
    for index in range(3):
        both = sum(t == index and p == index for t, p in pixels)
        either = sum(t == index or p == index for t, p in pixels)
        ious.append(both / either if either else None)
    return ious, (sum(t == p for t, p in pixels) / len(pixels) if pixels else None)


SHAPE = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(st.data(), SHAPE, st.integers(1, 3))
def test_the_figures_are_those_of_counting_pixel_by_pixel(
    data: st.DataObject, shape: tuple[int, int], pictures: int
) -> None:
    truths = data.draw(arrays(np.uint8, (pictures, *shape), elements=st.sampled_from([0, 1, 2, VOID])))
    predictions = data.draw(arrays(np.uint8, (pictures, *shape), elements=st.sampled_from([0, 1, 2, 3, 254, VOID])))
    counted = ConfusionMatrix(THREE)
    for truth, predicted in zip(truths, predictions):
        counted.add(truth, predicted)
    ious, accuracy = slow_reference(truths, predictions)
    figures = counted.result()
    assert list(figures.class_iou) == ious
    assert figures.pixel_accuracy == accuracy


LABEL_MAPS = arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([0, 1, 2, VOID]))


@given(LABEL_MAPS, LABEL_MAPS)
def test_matrices_of_single_pictures_add_up_to_that_of_all(truths: np.ndarray, predictions: np.ndarray) -> None:
    together, total = ConfusionMatrix(THREE), ConfusionMatrix(THREE)
    for truth, predicted in zip(truths, predictions):
        together.add(truth, predicted)
        alone = ConfusionMatrix(THREE)
        alone.add(truth, predicted)
        total.include(alone)
    assert total.result() == together.result()
    assert total.counts.tolist() == together.counts.tolist()


@given(LABEL_MAPS, LABEL_MAPS)
def test_intersection_and_union_are_those_of_sets_of_pixels(truths: np.ndarray, predictions: np.ndarray) -> None:
    counted = ConfusionMatrix(THREE)
    counted.add(truths, predictions)
    labelled = truths != VOID
    for index in range(3):
        true, said = labelled & (truths == index), labelled & (predictions == index)
        assert counted.intersection[index] == (true & said).sum()
        assert counted.union[index] == (true | said).sum()
