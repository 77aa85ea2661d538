"""Segmenters on pictures: each read once, the reference run once, nothing kept that grows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from rtseg.accuracy.reference_run import ReferenceRun, compare
from rtseg.accuracy.validation import measured_accuracy
from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.pictures import DatasetPictures
from rtseg.datasets.registry import class_spec
from rtseg.errors import DatasetError, SpecError
from rtseg.frame.segmenter import Segmenter
from tests.observers import Recorder

Brightness = Callable[..., Segmenter]


class Ramps:
    """Pictures that grow brighter from left to right, each a little earlier; the truth is 1 from one half on."""

    def __init__(self, count: int, height: int = 32, width: int = 48, classes: str = "2") -> None:
        self.classes = class_spec(classes)
        self._shape = (count, height, width)
        self.read: list[int] = []

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: int) -> LabelledImage:
        self.read.append(index)
        _, height, width = self._shape
        grey = np.clip(np.linspace(0, 255, width) + 5 * index, 0, 255).astype(np.uint8)
        image = np.repeat(np.tile(grey, (height, 1))[..., None], 3, axis=2)
        return LabelledImage(str(index), image, (image[..., 0] > 127).astype(np.uint8))


def test_a_comparison_has_what_validation_finds_of_each(brightness: Brightness) -> None:
    candidate, reference = brightness(0.6), brightness(0.5)
    comparison = compare(candidate, reference, Ramps(4))
    assert comparison.candidate == measured_accuracy(candidate, Ramps(4))
    assert comparison.reference == measured_accuracy(reference, Ramps(4))
    assert comparison.pictures == 4
    assert comparison.reference.miou == 1
    assert (comparison.drop or 0) > 1


def test_the_same_file_twice_differs_in_nothing(brightness: Brightness) -> None:
    comparison = compare(brightness(0.6), brightness(0.6), Ramps(3))
    assert (comparison.difference, comparison.interval, comparison.agreement.share) == (0, (0, 0), 1)


def test_each_picture_is_read_once(brightness: Brightness) -> None:
    dataset = Ramps(5)
    compare(brightness(0.6), brightness(0.5), dataset, limit=3)
    assert dataset.read == [0, 1, 2]


def test_progress_is_told_picture_by_picture(brightness: Brightness) -> None:
    recorder = Recorder()
    compare(brightness(0.6), brightness(0.5), Ramps(2), observer=recorder)
    assert recorder.steps == [(1, 2), (2, 2)]


def test_pictures_without_labels_give_agreement(brightness: Brightness) -> None:
    comparison = compare(brightness(0.6), brightness(0.5), DatasetPictures(Ramps(3)))
    assert not comparison.labelled
    assert comparison.agreement == compare(brightness(0.6), brightness(0.5), Ramps(3)).agreement
    assert 0 < comparison.agreement.share < 1


def test_candidates_against_kept_label_maps_are_as_in_one_pass(brightness: Brightness) -> None:
    run = ReferenceRun(brightness(0.5), Ramps(4), limit=3)
    for threshold in (0.4, 0.6):
        assert run.compare_with(brightness(threshold)) == compare(
            brightness(threshold), brightness(0.5), Ramps(4), limit=3
        )


def test_candidates_against_kept_label_maps_need_no_labels(brightness: Brightness) -> None:
    pictures = DatasetPictures(Ramps(2))
    run = ReferenceRun(brightness(0.5), pictures)
    assert run.compare_with(brightness(0.6)) == compare(brightness(0.6), brightness(0.5), pictures)


def test_a_reference_runs_once_and_pictures_are_read_once_for_each_candidate(brightness: Brightness) -> None:
    dataset = Ramps(2)
    run = ReferenceRun(brightness(0.5), dataset)
    assert dataset.read == [0, 1]
    recorder = Recorder()
    run.compare_with(brightness(0.4), observer=recorder)
    run.compare_with(brightness(0.6))
    assert dataset.read == [0, 1] * 3
    assert recorder.steps == [(1, 2), (2, 2)]


def test_kept_label_maps_take_a_byte_for_each_pixel(brightness: Brightness) -> None:
    run = ReferenceRun(brightness(0.5), Ramps(3, 40, 60))
    assert (len(run), run.label_bytes) == (3, 3 * 40 * 60)


def test_more_label_maps_than_may_be_kept_are_refused(brightness: Brightness) -> None:
    dataset = Ramps(9, 40, 60)
    with pytest.raises(
        SpecError, match=r"got 7200 bytes for 3 of 9 pictures; expected at most 6000.* Try: pass --limit 2"
    ):
        ReferenceRun(brightness(0.5), dataset, max_bytes=6000)
    assert len(ReferenceRun(brightness(0.5), dataset, limit=2, max_bytes=6000)) == 2


def test_other_classes_of_the_candidate_are_refused_before_anything_is_read(brightness: Brightness) -> None:
    dataset = Ramps(1)
    told = "candidate and reference have different classes; got a list with 3 classes; expected a list with 2"
    with pytest.raises(DatasetError, match=told):
        compare(brightness(0.5, "3"), brightness(0.5), dataset)
    assert dataset.read == []
    with pytest.raises(DatasetError, match=told):
        ReferenceRun(brightness(0.5), dataset).compare_with(brightness(0.5, "3"))


def test_other_classes_of_the_dataset_are_refused_before_anything_is_read(brightness: Brightness) -> None:
    dataset = Ramps(1, classes="camvid")
    for hold in (
        lambda: compare(brightness(0.6), brightness(0.5), dataset),
        lambda: ReferenceRun(brightness(0.5), dataset),
    ):
        with pytest.raises(DatasetError, match="the artifact and the dataset have different classes; got camvid"):
            hold()
    assert dataset.read == []


def test_classes_after_the_datasets_own_are_compared_too(brightness: Brightness) -> None:
    candidate, reference = brightness(0.6, "3"), brightness(0.5, "3")
    comparison = compare(candidate, reference, Ramps(2))
    assert len(comparison.classes) == 2
    assert len(comparison.agreement.class_iou) == 3
    assert comparison.difference == compare(brightness(0.6), brightness(0.5), Ramps(2)).difference


def test_no_picture_is_refused(brightness: Brightness) -> None:
    with pytest.raises(DatasetError, match="no picture to compare on; got 0"):
        compare(brightness(0.6), brightness(0.5), Ramps(0))
    with pytest.raises(DatasetError, match="no picture to compare on; got 0"):
        ReferenceRun(brightness(0.5), Ramps(3), limit=0)


def peak_bytes(candidate: Segmenter, reference: Segmenter, pictures: int) -> int:
    dataset = Ramps(pictures, 320, 480)
    tracemalloc.start()
    try:
        compare(candidate, reference, dataset)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_pictures(brightness: Brightness) -> None:
    candidate, reference = brightness(0.6), brightness(0.5)
    peak_bytes(candidate, reference, 2)  # whatever is made once
    few, many = (peak_bytes(candidate, reference, pictures) for pictures in (2, 12))
    one_picture = 320 * 480 * 3
    assert few > one_picture
    assert many - few < one_picture / 2
