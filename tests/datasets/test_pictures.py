from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from rtseg.datasets.camvid import write_camvid_layout
from rtseg.datasets.registry import is_labelled, open_dataset, open_pictures, source_name
from rtseg.datasets.streets.dataset import Streets
from rtseg.errors import DatasetError, ImageError, UnknownNameError
from rtseg.images.files import write_image
from rtseg.specs import Resolution
from tests.images.file_trees import PICTURES, TREES, planted


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (6, 9, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(["b.png", "a.png", "C.PNG"]):
        write_image(tmp_path / name, image(seed))
    (tmp_path / "notes.txt").write_text("no picture")
    write_image(tmp_path / "more" / "d.png", image(3))
    return tmp_path


def test_a_folder_gives_its_own_pictures_sorted_by_name(folder: Path) -> None:
    pictures = open_pictures(f"images:{folder}", "any split")
    assert [pictures[index].name for index in range(len(pictures))] == ["C.PNG", "a.png", "b.png"]
    np.testing.assert_array_equal(pictures[2].image, image(0))


@pytest.mark.parametrize("index", [-1, 3])
def test_past_either_end_of_a_folder_is_an_index_error(folder: Path, index: int) -> None:
    with pytest.raises(IndexError):
        open_pictures(f"images:{folder}", "")[index]


def test_a_labelled_dataset_gives_its_pictures(tmp_path: Path) -> None:
    write_camvid_layout(Streets("val", Resolution(32, 48)), tmp_path, "val", count=3)
    pictures, dataset = open_pictures(f"camvid:{tmp_path}", "val"), open_dataset(f"camvid:{tmp_path}", "val")
    assert len(pictures) == 3
    assert pictures[1].name == dataset[1].name
    np.testing.assert_array_equal(pictures[1].image, dataset[1].image)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DatasetError, match=r"no picture in .*; expected files ending in \.png"):
        open_pictures(f"images:{tmp_path}", "")


def test_a_folder_that_is_not_there_or_not_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no folder .*nowhere; expected images:PATH"):
        open_pictures(f"images:{tmp_path / 'nowhere'}", "")
    with pytest.raises(DatasetError, match="images needs a folder"):
        open_pictures("images", "")


def test_a_file_that_is_no_picture_is_named(folder: Path) -> None:
    (folder / "a.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"a\.png"):
        open_pictures(f"images:{folder}", "")[1]


def test_an_unknown_source_is_refused_and_images_are_among_those_named() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown dataset; got 'image'.*Try: use 'images'"):
        open_pictures("image:PATH", "")


def test_an_unknown_split_of_a_dataset_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown split of streets"):
        open_pictures("streets", "valid")


def test_all_sources_but_a_folder_of_images_are_labelled() -> None:
    assert [is_labelled(text) for text in ("camvid:DIR", "streets", "images:DIR", "images")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_folder_of_images_opened_for_its_labels_is_told_to_have_none(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no labels; expected one of camvid, .*streets"):
        open_dataset(f"images:{folder}", "val")


def test_the_name_of_a_source_leaves_out_where_it_lies() -> None:
    assert [source_name(text) for text in ("camvid:/a:b", "streets:32x48", "images:DIR")] == [
        "camvid",
        "streets:32x48",
        "images",
    ]


@settings(deadline=None, max_examples=200, derandomize=True)
@given(TREES)
def test_of_any_folder_each_visible_picture_has_its_place_and_a_bad_one_is_an_error_in_it(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, str]
) -> None:
    place = tmp_path_factory.mktemp("tree") / "in"
    expected = planted(place, tree)
    if not expected.names:
        with pytest.raises(DatasetError, match="no picture in"):
            open_pictures(f"images:{place}", "")
        return
    pictures = open_pictures(f"images:{place}", "")
    assert len(pictures) == len(expected.names)
    for index, name in enumerate(expected.names):
        if name in expected.bad:
            with pytest.raises(ImageError, match=re.escape(name)):
                pictures[index]
        else:
            assert pictures[index].name == name
            np.testing.assert_array_equal(pictures[index].image, PICTURES[expected.good[name]])
