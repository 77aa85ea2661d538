from __future__ import annotations

from math import e, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.registry import class_spec
from rtseg.errors import TrainingError
from rtseg.training.class_shares import class_shares, focal_exponents, inverse_log_weights
from tests.observers import Recorder

THREE = class_spec("3")


class Labelled:
    classes = THREE

    def __init__(self, *rows: list[int]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledImage:
        labels = np.array([self._rows[index]], np.uint8)
        return LabelledImage(str(index), np.zeros((*labels.shape, 3), np.uint8), labels)


def test_shares_are_counted_over_all_pictures() -> None:
    assert class_shares(Labelled([0, 0, 1], [2, 0, 0, 0, 0])).tolist() == [6 / 8, 1 / 8, 1 / 8]


def test_void_is_no_part_of_the_whole() -> None:
    assert class_shares(Labelled([0, 1, 1, 255], [255, 2])).tolist() == [1 / 4, 2 / 4, 1 / 4]


def test_a_class_that_never_occurs_has_no_share() -> None:
    assert class_shares(Labelled([0, 2])).tolist() == [0.5, 0, 0.5]


def test_a_split_of_void_only_is_refused() -> None:
    with pytest.raises(TrainingError, match="no labelled pixel"):
        class_shares(Labelled([255, 255]))


def test_progress_is_told_picture_by_picture() -> None:
    recorder = Recorder()
    class_shares(Labelled([0], [1], [2]), recorder)
    assert recorder.steps == [(1, 3), (2, 3), (3, 3)]


def test_the_weight_is_one_over_the_logarithm() -> None:
    assert inverse_log_weights(np.array([e - 1.5, 0.0]), 1.5).tolist() == pytest.approx([1, 1 / log(1.5)])


def test_exponents_count_the_digits_of_the_ratio_to_the_rarest() -> None:
    shares = np.array([1, 9.9, 10.1, 99, 101, 5000]) / 5221
    assert focal_exponents(shares).tolist() == [0, 0, 1, 1, 2, 3]


def test_a_class_that_never_occurs_is_not_the_rarest() -> None:
    assert focal_exponents(np.array([0.0, 0.01, 0.99])).tolist() == [0, 0, 1]


@given(st.integers(0, 6), st.integers(1, 10**6), st.integers(0, 10**9))
def test_a_class_exactly_ten_to_the_n_times_as_frequent_has_exponent_n(n: int, rare: int, other: int) -> None:
    # The shares are rounded, so the ratio may come out a hair below the power of ten.
    counts = np.array([rare, rare * 10**n, rare + other])
    assert focal_exponents(counts / counts.sum())[1] == n
