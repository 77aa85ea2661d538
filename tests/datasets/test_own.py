"""Pictures and labels of one's own, with their own classes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rtseg.datasets.registry import class_spec, is_labelled, open_dataset, open_pictures
from rtseg.errors import DatasetError, ImageError, SpecError, UnknownNameError

CLASSES = 'names = ["grass", "path", "person"]\n'
LABELS = np.array([[0, 1, 2], [255, 2, 1]], np.uint8)


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    """Two pictures to train on and one other."""
    for split, names in (("train", ("b", "a")), ("val", ("c",))):
        for name in names:
            put(tmp_path, split, name)
    (tmp_path / "classes.toml").write_text(CLASSES)
    return tmp_path


def put(root: Path, split: str, name: str, suffix: str = "png") -> None:
    for folder in ("images", "labels"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    picture = np.full((*LABELS.shape, 3), ord(name[0]), np.uint8)
    assert cv2.imwrite(str(root / "images" / split / f"{name}.{suffix}"), picture)
    assert cv2.imwrite(str(root / "labels" / split / f"{name}.png"), LABELS)


def test_the_pictures_of_a_split_come_by_name_with_the_classes_of_the_file(yard: Path) -> None:
    dataset = open_dataset(f"own:{yard}", "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "b"]
    assert dataset.classes == class_spec(str(yard / "classes.toml"))
    assert dataset[0].image.shape == (2, 3, 3) and (dataset[1].image == ord("b")).all()
    np.testing.assert_array_equal(dataset[0].labels, LABELS)


def test_the_file_may_have_any_name_and_be_named_itself(yard: Path) -> None:
    (yard / "classes.toml").rename(yard / "yard.toml")
    assert len(open_dataset(f"own:{yard / 'yard.toml'}", "val")) == 1


def test_a_split_is_whatever_folder_there_is(yard: Path) -> None:
    put(yard, "night", "d")
    assert open_dataset(f"own:{yard}", "night")[0].name == "d"


def test_they_are_pictures_with_labels_for_every_command(yard: Path) -> None:
    assert is_labelled(f"own:{yard}")
    assert [picture.name for picture in open_pictures(f"own:{yard}", "val")] == ["c"]  # type: ignore[attr-defined]


def test_pictures_of_any_suffix_have_labels_in_png(yard: Path) -> None:
    put(yard, "val", "photo", "jpg")
    assert [open_dataset(f"own:{yard}", "val")[index].name for index in range(2)] == ["c", "photo"]


@pytest.mark.parametrize("palette", ["21", "camvid", "19"])
def test_the_palette_of_a_label_file_is_for_viewing(palette: str, yard: Path) -> None:
    stored = Image.fromarray(LABELS, "L")
    colours = class_spec(palette).palette
    stored.putpalette([value for colour in (*colours, *class_spec("256").palette[len(colours) :]) for value in colour])
    stored.save(yard / "labels" / "val" / "c.png")
    np.testing.assert_array_equal(open_dataset(f"own:{yard}", "val")[0].labels, LABELS)


def test_labels_in_colour_are_refused_with_the_way_to_convert_them(yard: Path) -> None:
    colours = np.array(class_spec(str(yard / "classes.toml")).palette, np.uint8)[np.zeros((2, 3), int)]
    colours[0, 1] = (128, 0, 0)
    assert cv2.imwrite(str(yard / "labels" / "val" / "c.png"), colours[..., ::-1])
    with pytest.raises(ImageError, match="replace each colour by the index of its class"):
        open_dataset(f"own:{yard}", "val")[0]


def test_a_split_that_is_not_there_is_told_with_where_it_was_looked_for(yard: Path) -> None:
    with pytest.raises(DatasetError, match=r"no pictures in .*test; .* Try: set pictures in .*, or use another split"):
        open_dataset(f"own:{yard}", "test")


def test_label_files_that_are_missing_are_counted_and_one_is_named(yard: Path) -> None:
    (yard / "labels" / "train" / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 2 label files are missing; got no .*b\.png. Try: set labels in"):
        open_dataset(f"own:{yard}", "train")


def test_two_pictures_for_one_label_file_are_refused(yard: Path) -> None:
    put(yard, "val", "c", "bmp")
    with pytest.raises(DatasetError, match=r"two pictures in .* are called c; expected one for each label file"):
        open_dataset(f"own:{yard}", "val")


def test_labels_of_another_size_than_the_picture_are_refused(yard: Path) -> None:
    assert cv2.imwrite(str(yard / "labels" / "val" / "c.png"), LABELS.T)
    with pytest.raises(DatasetError, match="picture and labels of c differ in size"):
        open_dataset(f"own:{yard}", "val")[0]


def test_a_folder_without_the_file_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read the class list .*classes\.toml.* Try: write it"):
        open_dataset(f"own:{tmp_path}", "val")


@pytest.mark.parametrize("text", ["own", "own:nowhere"])
def test_a_path_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(DatasetError, match=r"own needs a folder|no folder nowhere"):
        open_dataset(text, "val")


def test_a_file_that_is_no_class_list_is_read_as_one_and_the_reason_is_told(yard: Path) -> None:
    (yard / "pipe.toml").symlink_to(yard / "pipe.toml")
    for name, told in (
        ("nowhere.toml", "No such file"),
        ("pipe.toml", "symbolic links"),
        ("images/val/c.png", "is not a class list in TOML"),
    ):
        with pytest.raises(SpecError, match=told):
            open_dataset(f"own:{yard / name}", "val")


@pytest.mark.parametrize("split", ["", "a\0b", "a\nb"])
def test_a_split_that_is_no_name_of_a_folder_is_refused(split: str, yard: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown split of own"):
        open_dataset(f"own:{yard}", split)
