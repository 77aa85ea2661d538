from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rtseg.accuracy.validation import measured_accuracy
from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.registry import class_spec
from rtseg.errors import DatasetError
from rtseg.frame.segmenter import Segmenter
from tests.observers import Recorder

TWO = class_spec("2")


class Halves:
    """Pictures whose left half is bright; `wrong` columns of the truth say otherwise."""

    classes = TWO

    def __init__(self, count: int, height: int = 32, width: int = 48, wrong: int = 0) -> None:
        self._shape = (count, height, width)
        self._wrong = wrong
        self.read: list[int] = []

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: int) -> LabelledImage:
        self.read.append(index)
        _, height, width = self._shape
        labels = np.zeros((height, width), np.uint8)
        labels[:, : width // 2] = 1
        image = np.repeat(labels[..., None] * np.uint8(255), 3, axis=2)
        labels[:, width - self._wrong :] = 1
        return LabelledImage(str(index), image, labels)


@pytest.fixture
def segmenter(brightness: Callable[[float], Segmenter]) -> Segmenter:
    return brightness(0.5)


def test_a_network_that_is_right_everywhere_has_a_miou_of_one(segmenter: Segmenter) -> None:
    result = measured_accuracy(segmenter, Halves(3))
    assert (result.miou, result.pixel_accuracy, result.pixels) == (1, 1, 3 * 32 * 48)


def test_wrong_pixels_lower_the_figures_by_their_number(segmenter: Segmenter) -> None:
    # 24 columns of each class, of which 6 of class 0 are called 1 by the truth: IoU 18/24 and 24/30.
    result = measured_accuracy(segmenter, Halves(2, wrong=6))
    assert result.class_iou == (18 / 24, 24 / 30)
    assert result.pixel_accuracy == 42 / 48


@pytest.mark.parametrize("size", [(64, 96), (16, 24), (160, 240)])
def test_labels_are_compared_at_their_own_resolution(segmenter: Segmenter, size: tuple[int, int]) -> None:
    result = measured_accuracy(segmenter, Halves(1, *size))
    assert result.pixels == size[0] * size[1]
    assert result.miou == 1


def test_a_limit_takes_the_first_pictures_only(segmenter: Segmenter) -> None:
    dataset = Halves(5)
    assert measured_accuracy(segmenter, dataset, limit=2).pixels == 2 * 32 * 48
    assert dataset.read == [0, 1]


def test_a_limit_beyond_the_end_takes_all(segmenter: Segmenter) -> None:
    assert measured_accuracy(segmenter, Halves(3), limit=99).pixels == 3 * 32 * 48


def test_progress_is_told_picture_by_picture(segmenter: Segmenter) -> None:
    recorder = Recorder()
    measured_accuracy(segmenter, Halves(5), limit=3, observer=recorder)
    assert recorder.steps == [(1, 3), (2, 3), (3, 3)]


def test_other_classes_are_refused_with_both_lists_before_anything_is_read(segmenter: Segmenter) -> None:
    class Camvid(Halves):
        classes = class_spec("camvid")

    dataset = Camvid(1)
    with pytest.raises(DatasetError, match="different classes; got camvid with 11 classes; expected a list with 2"):
        measured_accuracy(segmenter, dataset)
    assert dataset.read == []


def test_a_file_that_numbers_its_classes_gets_their_names_by_another_export(segmenter: Segmenter) -> None:
    class Own(Halves):
        classes = replace(class_spec("2"), dataset="own", names=("sky", "ground"))

    with pytest.raises(DatasetError, match=r"Try: run rtseg export or import-onnx again with --classes FILE\.toml"):
        measured_accuracy(segmenter, Own(1))


def peak_bytes(segmenter: Segmenter, pictures: int) -> int:
    dataset = Halves(pictures, 320, 480)
    tracemalloc.start()
    try:
        measured_accuracy(segmenter, dataset)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_pictures(segmenter: Segmenter) -> None:
    peak_bytes(segmenter, 2)  # whatever is made once
    few, many = peak_bytes(segmenter, 2), peak_bytes(segmenter, 12)
    one_picture = 320 * 480 * 4  # its pixels and its labels
    assert few > one_picture
    assert many - few < one_picture / 2
