from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gpu_check.agreement import Compared, agreement_of, compare
from benchmarks.gpu_check.cases import Case, CaseFolder
from rtseg.specs import ClassSpec

CLASSES = ClassSpec("two", ("a", "b"), ((0, 0, 0), (1, 1, 1)))


def labels(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_the_share_is_of_all_pixels_and_each_picture_has_its_own() -> None:
    pictures = [
        Compared("small", "x", labels([0, 1]), labels([0, 0]), None),
        Compared("large", "x", labels([0, 1, 1, 1], [0, 0, 0, 0]), labels([0, 1, 1, 1], [0, 0, 0, 1]), None),
    ]
    found = agreement_of(pictures, CLASSES)
    assert found["share"] == pytest.approx(8 / 10) and found["pixels"] == 10
    assert [one["share"] for one in found["pictures"]] == [0.5, pytest.approx(7 / 8)]
    assert found["miou"] == {}


def test_both_label_maps_are_held_against_the_truth_dataset_by_dataset() -> None:
    truth = labels([0, 0, 1, 255])
    pictures = [
        Compared("p", "camvid", labels([0, 0, 1, 1]), labels([0, 1, 1, 0]), truth),
        Compared("q", "streets", labels([1, 1, 1, 1]), labels([0, 0, 1, 1]), truth),
    ]
    found = agreement_of(pictures, CLASSES)["miou"]
    assert found["camvid"] == {"labels": pytest.approx(1.0), "onnxruntime": pytest.approx(0.5)}
    assert found["streets"] == {"labels": pytest.approx((0 + 1 / 3) / 2), "onnxruntime": pytest.approx(1.0)}


def test_stored_references_agree_with_themselves_and_not_with_others(folder: CaseFolder, case: Case) -> None:
    stored = iter(folder.references(case, "fp16"))
    found = compare(folder, case, "fp16", lambda image: next(stored))
    assert found["share"] == 1.0 and found["pixels"] == 2 * 64 * 96
    assert found["miou"]["streets"]["labels"] == found["miou"]["streets"]["onnxruntime"]
    other = compare(folder, case, "fp16", lambda image: np.full(image.shape[:2], 99, np.uint8))
    assert other["share"] == 0.0


def test_pictures_of_another_size_can_be_left_out(folder: CaseFolder, case: Case) -> None:
    first, second = case.pictures
    other = replace(case, pictures=(first, replace(second, width=48)))
    seen = []
    stored = folder.references(case, "fp32")
    compare(folder, other, "fp32", lambda image: seen.append(image) or stored[0], own_size=True)
    assert len(seen) == 1
