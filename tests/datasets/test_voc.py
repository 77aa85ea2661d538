from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.datasets.voc import VOC2012, VOC_CLASSES
from rtseg.errors import DatasetError, ImageError

NAMES = ("2007_000033", "2007_000032", "2011_003271")
"""Not in alphabetical order: the list decides."""

EVERY_LABEL = np.array([[*range(11)], [*range(11, 21), 255]], np.uint8)


def write_picture(home: Path, name: str, height: int = 2, width: int = 11) -> None:
    folder = home / "JPEGImages"
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.full((height, width, 3), (200, 30, 90), np.uint8)
    assert cv2.imwrite(str(folder / f"{name}.jpg"), picture[..., ::-1])


def write_labels(home: Path, name: str, labels: np.ndarray, *, mode: str = "P") -> Path:
    """Write a PNG as VOC's are: indices with VOC's palette; mode "RGB" makes colours of them, "L" drops the palette."""
    folder = home / "SegmentationClass"
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(labels)
    if mode != "L":
        picture = picture.convert("P") if picture.mode != "P" else picture
        picture.putpalette([value for colour in class_spec("256").palette for value in colour])
    picture = picture.convert("RGB") if mode == "RGB" else picture
    picture.save(folder / f"{name}.png")
    return folder / f"{name}.png"


def write_list(home: Path, split: str, text: str) -> Path:
    folder = home / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.txt").write_bytes(text.encode())
    return folder / f"{split}.txt"


@pytest.fixture()
def home(tmp_path: Path) -> Path:
    """A VOC2012 with three pictures: two of train, one of val."""
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    for name in NAMES:
        write_picture(folder, name)
        write_labels(folder, name, EVERY_LABEL)
    for split, names in (("train", NAMES[:2]), ("val", NAMES[2:]), ("trainval", NAMES)):
        write_list(folder, split, "".join(f"{name}\n" for name in names))
    return folder


@pytest.mark.parametrize(("split", "names"), [("train", NAMES[:2]), ("val", NAMES[2:]), ("trainval", NAMES)])
def test_a_split_holds_the_pictures_of_its_list_in_the_lists_order(
    home: Path, split: str, names: tuple[str, ...]
) -> None:
    dataset = VOC2012(home, split)
    assert tuple(dataset[index].name for index in range(len(dataset))) == names


def test_labels_are_the_indices_of_the_file_and_255_is_void(home: Path) -> None:
    item = VOC2012(home, "val")[0]
    np.testing.assert_array_equal(item.labels, EVERY_LABEL)
    assert VOC_CLASSES.ignore_index == 255


def test_labels_do_not_depend_on_the_palette(home: Path) -> None:
    path = home / "SegmentationClass" / f"{NAMES[2]}.png"
    with Image.open(path) as stored:
        picture = stored.copy()
    picture.putpalette([value for index in range(256) for value in (255 - index, index, 7)])
    picture.save(path)
    np.testing.assert_array_equal(VOC2012(home, "val")[0].labels, EVERY_LABEL)


def test_indices_in_fewer_bits_are_read_as_they_are(home: Path) -> None:
    labels = EVERY_LABEL % 3
    picture = Image.fromarray(labels).convert("P")
    picture.putpalette([value for colour in VOC_CLASSES.palette for value in colour])
    picture.save(home / "SegmentationClass" / f"{NAMES[2]}.png", bits=2)
    np.testing.assert_array_equal(VOC2012(home, "val")[0].labels, labels)


def test_indices_without_a_palette_are_read_too(home: Path) -> None:
    write_labels(home, NAMES[2], EVERY_LABEL, mode="L")
    np.testing.assert_array_equal(VOC2012(home, "val")[0].labels, EVERY_LABEL)


def test_pixels_are_rgb(home: Path) -> None:
    image = VOC2012(home, "val")[0].image
    assert image.shape == (2, 11, 3)
    assert np.abs(image.astype(int) - (200, 30, 90)).max() <= 3  # JPEG rounds


def test_pictures_may_differ_in_size(home: Path) -> None:
    write_picture(home, NAMES[0], 5, 7)
    write_labels(home, NAMES[0], np.zeros((5, 7), np.uint8))
    assert [VOC2012(home, "train")[index].labels.shape for index in range(2)] == [(5, 7), (2, 11)]


def test_the_classes_are_the_background_and_twenty_in_alphabetical_order() -> None:
    assert len(VOC_CLASSES) == 21
    assert (VOC_CLASSES.names[0], VOC_CLASSES.names[15], VOC_CLASSES.names[20]) == ("background", "person", "tvmonitor")
    assert list(VOC_CLASSES.names[1:]) == sorted(VOC_CLASSES.names[1:])


def test_the_colours_are_those_of_the_development_kit() -> None:
    colours = dict(zip(VOC_CLASSES.names, VOC_CLASSES.palette))
    assert colours["background"] == (0, 0, 0)
    assert colours["aeroplane"] == (128, 0, 0)
    assert colours["person"] == (192, 128, 128)
    assert colours["tvmonitor"] == (0, 64, 128)


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_the_folder_may_be_voc2012_the_devkit_or_what_holds_it(home: Path, tmp_path: Path, below: str) -> None:
    assert len(open_dataset(f"voc:{tmp_path / below}", "train")) == 2


def test_other_years_beside_it_do_not_matter(home: Path) -> None:
    write_list(home.parent / "VOC2007", "train", "000032\n")
    assert len(VOC2012(home.parent, "train")) == 2


def test_two_copies_in_one_folder_are_refused_with_both(home: Path) -> None:
    write_list(home / "VOC2012", "train", NAMES[0])
    with pytest.raises(DatasetError, match=r"more than one VOC 2012 in .*; got .*VOC2012, .*VOC2012.VOC2012"):
        VOC2012(home, "train")


def test_a_folder_without_the_layout_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError,
        match=r"no VOC 2012 in .*; expected ImageSets.Segmentation.val\.txt, JPEGImages.*Try: pass voc:PATH",
    ):
        VOC2012(tmp_path, "train")


def test_the_test_split_is_refused_as_its_labels_are_not_public(home: Path) -> None:
    write_list(home, "test", NAMES[0])
    with pytest.raises(DatasetError, match=r"no public labels for its test split\. Try: use the split val"):
        open_dataset(f"voc:{home}", "test")


# Lists


def test_a_missing_list_is_named(home: Path) -> None:
    (home / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(DatasetError, match=r"cannot read the list .*val\.txt: No such file"):
        VOC2012(home, "val")


@pytest.mark.parametrize("text", ["", "\n\n", "  \r\n"])
def test_an_empty_list_is_refused(home: Path, text: str) -> None:
    write_list(home, "val", text)
    with pytest.raises(DatasetError, match=r"the list .*val\.txt is empty"):
        VOC2012(home, "val")


@pytest.mark.parametrize("text", ["{0}\r\n{1}\r\n", "{0}\n\n{1}", "  {0}\n{1}  \n\n"])
def test_line_ends_of_every_kind_and_blank_lines_are_taken(home: Path, text: str) -> None:
    write_list(home, "val", text.format(*NAMES))
    dataset = VOC2012(home, "val")
    assert [dataset[index].name for index in range(len(dataset))] == list(NAMES[:2])


@pytest.mark.parametrize("line", ["2007_000032 -1", "../secret", "JPEGImages/a.jpg", "/etc/passwd"])
def test_a_line_that_is_no_name_is_refused(home: Path, line: str) -> None:
    write_list(home, "val", f"{NAMES[0]}\n{line}\n")
    with pytest.raises(DatasetError, match=rf"val\.txt is not a list of names; got '{line}'"):
        VOC2012(home, "val")


def test_a_list_that_is_not_text_is_refused(home: Path) -> None:
    write_list(home, "val", "").write_bytes(b"\xff\xfe2\x000\x00")
    with pytest.raises(DatasetError, match=r"val\.txt is not a list of names"):
        VOC2012(home, "val")


# Files


def test_pictures_that_the_list_names_and_nobody_has_are_counted_and_the_first_is_named(home: Path) -> None:
    write_list(home, "val", f"{NAMES[0]}\n2012_000001\n2012_000002\n")
    with pytest.raises(DatasetError, match=r"2 pictures are missing; got no .*JPEGImages.2012_000001\.jpg"):
        VOC2012(home, "val")


def test_missing_labels_are_counted_and_the_first_is_named(home: Path) -> None:
    (home / "SegmentationClass" / f"{NAMES[1]}.png").unlink()
    with pytest.raises(DatasetError, match=r"1 label files are missing; got no .*SegmentationClass.2007_000032\.png"):
        VOC2012(home, "train")


@pytest.mark.parametrize("value", [21, 128, 254])
def test_labels_outside_the_classes_are_refused_with_the_values(home: Path, value: int) -> None:
    labels = EVERY_LABEL.copy()
    labels[0, 3] = value
    write_labels(home, NAMES[2], labels)
    with pytest.raises(DatasetError, match=f"2011_003271 .* class range; got {value}; expected 0 to 20, or 255"):
        VOC2012(home, "val")[0]


def test_labels_made_into_colours_are_refused_and_not_misread(home: Path) -> None:
    path = write_labels(home, NAMES[2], EVERY_LABEL, mode="RGB")
    with pytest.raises(ImageError, match=rf"{path} is not a label map; got colours of 8 bits; expected class indices"):
        VOC2012(home, "val")[0]


def test_labels_of_sixteen_bits_are_refused(home: Path) -> None:
    assert cv2.imwrite(str(home / "SegmentationClass" / f"{NAMES[2]}.png"), EVERY_LABEL.astype(np.uint16))
    with pytest.raises(ImageError, match="is not a label map; got one channel of 16 bits"):
        VOC2012(home, "val")[0]


def test_labels_of_another_size_are_refused_with_both_sizes(home: Path) -> None:
    write_labels(home, NAMES[2], EVERY_LABEL[:, :10])
    with pytest.raises(DatasetError, match="picture and labels of 2011_003271 differ in size; got 2x10; expected 2x11"):
        VOC2012(home, "val")[0]


@pytest.mark.parametrize("kept", [0, 10, 40, 100])
def test_a_damaged_label_file_is_refused_by_name(home: Path, kept: int) -> None:
    path = home / "SegmentationClass" / f"{NAMES[2]}.png"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImageError, match=r"2011_003271\.png is not a picture OpenCV can read; got .*"):
        VOC2012(home, "val")[0]


def test_a_jpeg_named_png_is_refused(home: Path) -> None:
    Image.fromarray(EVERY_LABEL).save(home / "SegmentationClass" / f"{NAMES[2]}.png", format="JPEG")
    with pytest.raises(ImageError, match=r"2011_003271\.png is not a PNG"):
        VOC2012(home, "val")[0]


def test_a_damaged_picture_is_refused_by_name(home: Path) -> None:
    (home / "JPEGImages" / f"{NAMES[2]}.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(ImageError, match=r"2011_003271\.jpg is not a picture"):
        VOC2012(home, "val")[0]


def test_past_the_end_is_an_index_error(home: Path) -> None:
    with pytest.raises(IndexError):
        VOC2012(home, "val")[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_list_that_is_no_file_is_refused_and_never_waited_for(home: Path) -> None:
    path = write_list(home, "val", "x")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match=r"cannot read the list .*val\.txt: it is not a file"):
        VOC2012(home, "val")
