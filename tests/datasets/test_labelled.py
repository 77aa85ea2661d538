from __future__ import annotations

import numpy as np
import pytest

from rtseg.datasets.labelled import LabelledImage, require_labels
from rtseg.datasets.registry import class_spec
from rtseg.errors import DatasetError
from tests.observers import Recorder


class Void:
    """Pictures whose labels are void, but for those of some indices, which have one labelled pixel."""

    classes = class_spec("camvid")

    def __init__(self, count: int, *labelled: int) -> None:
        self._count, self._labelled = count, labelled
        self.read: list[int] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> LabelledImage:
        self.read.append(index)
        labels = np.full((4, 5), 255, np.uint8)
        labels[3, 4] = 0 if index in self._labelled else 255
        return LabelledImage(str(index), np.zeros((4, 5, 3), np.uint8), labels)


def test_pictures_are_read_up_to_the_first_with_a_label() -> None:
    dataset = Void(9, 2, 3)
    require_labels(dataset)
    assert dataset.read == [0, 1, 2]


def test_a_first_picture_that_was_read_already_is_not_read_again() -> None:
    dataset = Void(9, 0)
    first = dataset[0]
    require_labels(dataset, first=first)
    assert dataset.read == [0]


@pytest.mark.parametrize(
    ("limit", "told"), [(None, "4 pictures"), (2, "2 pictures"), (1, "1 picture"), (99, "4 pictures")]
)
def test_void_alone_is_refused_with_the_number_of_pictures(limit: int | None, told: str) -> None:
    with pytest.raises(DatasetError, match=f"no pixel of the {told}.* is labelled; got label files that hold only"):
        require_labels(Void(4), limit=limit)


def test_a_label_behind_the_limit_does_not_count() -> None:
    with pytest.raises(DatasetError, match="no pixel of the 2 pictures"):
        require_labels(Void(4, 2), limit=2)
    require_labels(Void(4, 2), limit=3)


def test_a_dataset_that_knows_where_its_labels_are_says_so() -> None:
    dataset = Void(1)
    with pytest.raises(
        DatasetError, match="Try: use another split, or label files that hold classes; or pass images:FOLDER"
    ):
        require_labels(dataset)
    dataset.without_labels = "use --split val"  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"Try: use --split val$"):
        require_labels(dataset)


def test_an_empty_dataset_is_told_elsewhere() -> None:
    require_labels(Void(0))


def test_a_long_search_tells_how_far_it_is() -> None:
    recorder = Recorder()
    require_labels(Void(9, 3), observer=recorder)
    assert recorder.steps == [(1, 9), (2, 9), (3, 9)]
