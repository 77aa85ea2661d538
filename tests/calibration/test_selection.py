from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.calibration.image_set import ImageSet, picture_sha256
from rtseg.calibration.selection import Selection, evenly_spread, select, select_named
from rtseg.datasets.pictures import FolderPictures, Picture
from rtseg.errors import CalibrationError, ImageError
from rtseg.images.files import write_image
from rtseg.specs import ImageSpec

SPEC = ImageSpec(64, 64)


class Given:
    """These very pictures."""

    def __init__(self, *images: np.ndarray) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Picture:
        return Picture(f"given{index}", self._images[index])


def of_one_colour(level: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@given(count=st.integers(1, 300), total=st.integers(1, 300))
def test_indices_are_spread_evenly_and_never_taken_twice(count: int, total: int) -> None:
    indices = evenly_spread(count, total)
    assert len(indices) == min(count, total)
    assert indices[0] == 0 and indices[-1] < total
    steps = np.diff(indices)
    assert (steps >= 1).all() and (len(steps) == 0 or steps.max() - steps.min() <= 1)


def test_pictures_come_in_the_order_of_their_digests(pictures) -> None:
    selection = select(pictures, "made", "train", SPEC, count=6)
    digests = [chosen.digest.sha256 for chosen in selection.chosen]
    assert digests == sorted(digests)
    assert sorted(chosen.index for chosen in selection.chosen) == [0, 2, 4, 6, 8, 10]
    for chosen in selection.chosen:
        assert chosen.digest.sha256 == picture_sha256(pictures[chosen.index].image)


def test_a_digest_is_of_the_sides_and_the_pixels() -> None:
    image = noise(4, 6)
    sides = (4).to_bytes(4, "little") + (6).to_bytes(4, "little")
    assert picture_sha256(image) == hashlib.sha256(sides + image.tobytes()).hexdigest()
    assert picture_sha256(image) != picture_sha256(image.reshape(6, 4, 3))
    assert picture_sha256(image[:, ::-1]) == picture_sha256(image[:, ::-1].copy())


def test_more_pictures_than_there_are_means_all(pictures) -> None:
    assert len(select(pictures, "made", "", SPEC, count=100).chosen) == 12


def test_pictures_of_one_colour_each_are_refused() -> None:
    with pytest.raises(CalibrationError, match="none of the 2 pictures shows anything"):
        select(Given(of_one_colour(0), of_one_colour(200)), "images", "", SPEC, count=2)


def test_one_picture_that_shows_something_is_enough() -> None:
    assert len(select(Given(of_one_colour(0), noise(64, 64)), "images", "", SPEC, count=2).chosen) == 2


def test_no_pictures_at_all_are_refused() -> None:
    with pytest.raises(CalibrationError, match="no pictures"):
        select(Given(), "images", "", SPEC, count=2)


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (8, 8)])
def test_a_picture_far_smaller_than_the_input_is_refused_with_both_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(CalibrationError, match=rf"given1 is much smaller.*got {size[0]}x{size[1]}.*64x64"):
        select(Given(noise(64, 64), noise(*size)), "images", "", SPEC, count=2)


@pytest.mark.parametrize("size", [(31, 12), (8, 8)])
def test_a_letterboxed_picture_is_far_smaller_where_it_is_enlarged_to_its_window(size: tuple[int, int]) -> None:
    with pytest.raises(CalibrationError, match=r"is much smaller.*at least 1/2 of 64x64 in one direction"):
        select(Given(noise(*size)), "images", "", replace(SPEC, fit="letterbox"), count=1)


def test_a_letterboxed_picture_may_be_narrow_where_it_is_not_enlarged() -> None:
    flat = noise(20, 64)
    assert len(select(Given(flat), "images", "", replace(SPEC, fit="letterbox"), count=1).chosen) == 1
    with pytest.raises(CalibrationError, match="is much smaller"):
        select(Given(flat), "images", "", SPEC, count=1)


def test_a_picture_of_half_the_size_is_taken() -> None:
    assert len(select(Given(noise(32, 32)), "images", "", SPEC, count=1).chosen) == 1


# Image sets


@pytest.fixture
def some(pictures) -> Selection:
    return select(pictures, "made", "train", SPEC, count=5)


def test_a_set_selects_the_same_pictures_again(pictures, some: Selection, tmp_path: Path) -> None:
    some.image_set().write(tmp_path / "set.json")
    again = select_named(pictures, "made", ImageSet.read(tmp_path / "set.json"), SPEC)
    assert again == some


def test_a_set_is_found_at_once_where_it_was_chosen(pictures, some: Selection) -> None:
    pictures.read = 0
    select_named(pictures, "made", some.image_set(), SPEC)
    assert pictures.read == 5


def test_a_set_is_found_wherever_its_pictures_lie(pictures, some: Selection) -> None:
    named = {name: digest for name, digest in some.image_set().pictures.items() if name != "picture000"}
    again = select_named(pictures, "made", replace(some.image_set(), pictures=named), SPEC)
    assert [chosen.digest for chosen in again.chosen] == [d for d in some.digests if d.name != "picture000"]


def test_a_picture_that_is_missing_is_named(pictures, some: Selection) -> None:
    wanted = replace(some.image_set(), pictures={**some.image_set().pictures, "lost": "0" * 64})
    with pytest.raises(CalibrationError, match="1 of the 6 pictures of the image set are missing; got no lost"):
        select_named(pictures, "made", wanted, SPEC)


def test_a_picture_with_other_pixels_is_named(pictures, some: Selection) -> None:
    wanted = replace(some.image_set(), pictures={**some.image_set().pictures, "picture002": "0" * 64})
    with pytest.raises(CalibrationError, match="picture002 is not the one"):
        select_named(pictures, "made", wanted, SPEC)


def test_a_set_of_another_dataset_is_refused(pictures, some: Selection) -> None:
    with pytest.raises(CalibrationError, match="another dataset; got camvid; expected made"):
        select_named(pictures, "camvid", some.image_set(), SPEC)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not JSON", "is not an image set"),
        ("[]", "is not an image set"),
        ('{"format": "rtseg-calibration/1"}', "is not an image set"),
        ("\ufffd" * 3, "is not an image set"),
        (json.dumps({"format": "rtseg-image-set/1", "data": "camvid", "split": "train"}), "damaged"),
        (json.dumps({"format": "rtseg-image-set/1", "data": "x", "split": "", "pictures": {"a": 1}}), "damaged"),
        (json.dumps({"format": "rtseg-image-set/1", "data": "x", "split": "", "pictures": {}}), "is empty"),
        ("[" * 100_000, "is not an image set"),
    ],
)
def test_a_file_that_is_no_image_set_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "set.json").write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=message):
        ImageSet.read(tmp_path / "set.json")


def test_a_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="No such file"):
        ImageSet.read(tmp_path / "set.json")


# As folders lie on disks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three pictures, two of one stem, and what macOS keeps beside them."""
    for seed, name in enumerate(("a.png", "a.bmp", "b.png")):
        write_image(tmp_path / name, np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(np.uint8))
        (tmp_path / f"._{name}").write_bytes(b"\0\5\x16\7")
    return tmp_path


def test_two_pictures_of_one_stem_are_two_of_a_set_and_hidden_files_are_none(folder: Path) -> None:
    chosen = select(FolderPictures(folder), "images", "", SPEC, count=9).image_set()
    assert sorted(chosen.pictures) == ["a.bmp", "a.png", "b.png"]
    again = select_named(FolderPictures(folder), "images", chosen, SPEC)
    assert again.image_set() == chosen


def test_a_picture_that_cannot_be_read_is_refused_and_not_passed_over(folder: Path) -> None:
    (folder / "c.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"c\.png is not a picture OpenCV can read; got an empty file"):
        select(FolderPictures(folder), "images", "", SPEC, count=9)


def test_a_picture_that_cannot_be_read_does_not_hide_those_that_a_set_names(folder: Path) -> None:
    chosen = select(FolderPictures(folder), "images", "", SPEC, count=9).image_set()
    (folder / "0.png").write_bytes(b"")
    assert select_named(FolderPictures(folder), "images", chosen, SPEC).image_set() == chosen
    (folder / "a.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"\.png is not a picture OpenCV can read; got an empty file"):
        select_named(FolderPictures(folder), "images", chosen, SPEC)
