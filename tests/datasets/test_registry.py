from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtseg.datasets.camvid import write_camvid_layout
from rtseg.datasets.registry import class_spec, dataset_names, open_dataset
from rtseg.datasets.streets.dataset import Streets
from rtseg.errors import DatasetError, SpecError, UnknownNameError
from rtseg.specs import Resolution


def test_the_datasets_are_these_five() -> None:
    assert dataset_names() == ["camvid", "cityscapes", "own", "streets", "voc"]


def test_streets_need_no_folder_and_have_camvids_size() -> None:
    assert open_dataset("streets", "val")[0].image.shape == (360, 480, 3)


def test_streets_come_at_the_size_they_are_asked_for() -> None:
    item = open_dataset("streets:48x64", "val")[0]
    assert (item.image.shape, item.labels.shape) == ((48, 64, 3), (48, 64))


def test_the_splits_of_the_streets_share_no_scene() -> None:
    pictures = [open_dataset("streets:32x48", split)[index].image for split in Streets.SPLITS for index in range(4)]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_a_scene_is_the_same_whenever_it_is_opened() -> None:
    one, other = (open_dataset("streets:32x48", "train")[7] for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize("index", [-1, 60])
def test_past_either_end_of_the_streets_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        open_dataset("streets:32x48", "val")[index]


def test_a_folder_is_opened_after_the_colon(tmp_path: Path) -> None:
    folder = tmp_path / "with:colon"
    write_camvid_layout(Streets("val", Resolution(32, 48)), folder, "val", count=1)
    assert len(open_dataset(f"camvid:{folder}", "val")) == 1


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "voc"])
def test_datasets_of_files_need_a_folder(name: str) -> None:
    with pytest.raises(DatasetError, match=rf"{name} needs a folder; got {name}; expected {name}:PATH"):
        open_dataset(name, "val")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no folder .*nowhere"):
        open_dataset(f"camvid:{tmp_path / 'nowhere'}", "val")


def test_an_unknown_dataset_is_refused_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown dataset; got 'citiscapes'.*Try: use 'cityscapes'"):
        open_dataset("citiscapes:PATH", "val")


def test_an_unknown_split_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown split of streets; got 'valid'; expected one of test, train, val"
    ):
        open_dataset("streets", "valid")


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError, match="not a resolution; got 'large'"):
        open_dataset("streets:large", "val")


@pytest.mark.parametrize(
    ("name", "count"), [("camvid", 11), ("cityscapes", 19), ("streets", 11), ("voc", 21), ("7", 7)]
)
def test_class_lists_go_by_name_or_number(name: str, count: int) -> None:
    assert len(class_spec(name)) == count


def test_streets_and_camvid_speak_of_the_same_classes() -> None:
    assert class_spec("streets").names == class_spec("camvid").names


def test_numbered_classes_have_the_colours_of_pascal_voc() -> None:
    # aeroplane, bicycle, bird, and the first whose colour needs the second bit
    palette = class_spec("21").palette
    assert palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert palette[8] == (64, 0, 0)
    assert palette[20] == (0, 64, 128)


@pytest.mark.parametrize("count", ["0", "1", "257", "99999"])
def test_a_number_of_classes_out_of_range_is_refused(count: str) -> None:
    with pytest.raises(SpecError, match="out of range"):
        class_spec(count)


@pytest.mark.parametrize("text", ["", "camvids", "-3", "²", "1.5"])
def test_a_class_list_that_is_neither_name_nor_number_is_refused(text: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown class list"):
        class_spec(text)
