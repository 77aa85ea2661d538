from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from rtseg.datasets.camvid_classes import CAMVID_CLASSES
from rtseg.datasets.cityscapes_classes import CITYSCAPES_CLASSES
from rtseg.datasets.label_files import read_labelled_picture, read_labels
from rtseg.datasets.voc_classes import VOC_CLASSES
from rtseg.errors import DatasetError, ImageError
from rtseg.images.files import read_image, write_image
from rtseg.images.label_png import write_label_png
from rtseg.specs import ClassSpec
from tests.images.picture_files import png

VOID = 255
LABELS = np.random.default_rng(1).integers(0, 11, (9, 14)).astype(np.uint8)
ALL = (CAMVID_CLASSES, CITYSCAPES_CLASSES, VOC_CLASSES)


def named(classes: ClassSpec) -> str:
    return classes.dataset


def refusal(path: Path, classes: ClassSpec, **settings: bool) -> str:
    with pytest.raises(ImageError) as raised:
        read_labels(path, classes, void=VOID, **settings)
    return str(raised.value)


def colours(path: Path, classes: ClassSpec) -> Path:
    write_image(path, np.array(classes.palette, np.uint8)[LABELS])
    return path


@pytest.mark.parametrize("classes", ALL, ids=named)
def test_indices_are_read_with_and_without_the_datasets_own_palette(tmp_path: Path, classes: ClassSpec) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), LABELS)
    labels = np.where(LABELS == 3, np.uint8(VOID), LABELS)
    write_label_png(tmp_path / "palette.png", labels, classes)
    np.testing.assert_array_equal(read_labels(tmp_path / "grey.png", classes, void=VOID), LABELS)
    np.testing.assert_array_equal(read_labels(tmp_path / "palette.png", classes, void=VOID), labels)


@pytest.mark.parametrize("classes", ALL, ids=named)
@pytest.mark.parametrize("other", ALL, ids=named)
def test_the_palette_of_another_dataset_is_named_with_the_way_on(
    tmp_path: Path, classes: ClassSpec, other: ClassSpec
) -> None:
    if classes is other:
        return
    write_label_png(tmp_path / "x.png", LABELS, other)
    for any_palette in (False, True):
        message = refusal(tmp_path / "x.png", classes, any_palette=any_palette)
        assert f"x.png has the palette of {other.dataset}; got 0 for {other.names[0]}" in message
        assert f"Try: pass --data {other.dataset}:PATH, or save indices of " in message


def test_a_palette_of_nobody_is_refused_unless_any_will_do(tmp_path: Path) -> None:
    picture = Image.fromarray(LABELS).convert("P")
    picture.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    picture.save(tmp_path / "x.png")
    message = refusal(tmp_path / "x.png", CAMVID_CLASSES)
    assert "has a palette that is not camvid's; got (0, 255, 7) for 0" in message
    assert "Try: save one 8-bit channel of class indices without a palette: 0 sky" in message
    np.testing.assert_array_equal(read_labels(tmp_path / "x.png", VOC_CLASSES, void=VOID, any_palette=True), LABELS)


def test_the_first_colour_of_a_palette_that_differs_is_named(tmp_path: Path) -> None:
    palette = [list(colour) for colour in CAMVID_CLASSES.palette]
    palette[6] = [1, 2, 3]
    labels = np.array([[0, 1, 5, 6, 7]], np.uint8)
    picture = Image.fromarray(labels, mode="P")
    picture.putpalette(bytes(np.array(palette, np.uint8)))
    picture.save(tmp_path / "x.png")
    message = refusal(tmp_path / "x.png", CAMVID_CLASSES)
    assert f"got (1, 2, 3) for 6; expected {CAMVID_CLASSES.palette[6]} for 6" in message


def test_an_index_in_a_palette_that_no_class_has_is_named(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 20]], np.uint8), mode="P")
    picture.putpalette(bytes(np.array(CAMVID_CLASSES.palette, np.uint8)) + bytes([9] * 30))
    picture.save(tmp_path / "x.png")
    assert "got (9, 9, 9) for 20; expected 10 bicyclist at most" in refusal(tmp_path / "x.png", CAMVID_CLASSES)


@pytest.mark.parametrize("classes", [CAMVID_CLASSES, VOC_CLASSES], ids=named)
def test_the_datasets_own_colours_are_told_with_the_index_of_each(tmp_path: Path, classes: ClassSpec) -> None:
    message = refusal(colours(tmp_path / "x.png", classes), classes)
    assert "x.png is not a label map; got colours of 8 bits; expected class indices" in message
    assert f"replace each colour by the index of its class ({classes.palette[0]} is 0, " in message


def test_the_colours_of_another_dataset_are_told_by_its_name(tmp_path: Path) -> None:
    message = refusal(colours(tmp_path / "x.png", VOC_CLASSES), CAMVID_CLASSES)
    assert "CamVid's own 32 colours" in message  # VOC's are made of the same steps
    message = refusal(colours(tmp_path / "x.png", CITYSCAPES_CLASSES), VOC_CLASSES)
    assert "--data cityscapes:PATH, as these are the colours of cityscapes" in message


def test_colours_of_cityscapes_are_for_viewing(tmp_path: Path) -> None:
    message = refusal(colours(tmp_path / "x.png", CITYSCAPES_CLASSES), CITYSCAPES_CLASSES)
    assert "NAME_gtFine_labelIds.png (NAME_gtFine_color.png is for viewing)" in message


def test_the_32_colours_of_the_first_camvid_are_recognised(tmp_path: Path) -> None:
    first = np.array([(64, 192, 0), (192, 0, 64), (64, 0, 192), (128, 128, 128), (0, 64, 64)], np.uint8)
    write_image(tmp_path / "x.png", first[LABELS % 5])
    assert "merge CamVid's own 32 colours into its 11 classes" in refusal(tmp_path / "x.png", CAMVID_CLASSES)


def test_unknown_colours_are_counted(tmp_path: Path) -> None:
    write_image(tmp_path / "x.png", np.array([(1, 2, 3), (4, 5, 6), (7, 8, 9)], np.uint8)[LABELS % 3])
    assert "replace each of the 3 colours by the index of its class in voc (0 background" in refusal(
        tmp_path / "x.png", VOC_CLASSES
    )


@pytest.mark.parametrize("classes", ALL, ids=named)
def test_indices_in_three_equal_channels_are_told_to_be_saved_in_one(tmp_path: Path, classes: ClassSpec) -> None:
    write_image(tmp_path / "x.png", np.repeat(LABELS[..., None], 3, axis=2))
    assert "one of the three equal channels" in refusal(tmp_path / "x.png", classes)


@pytest.mark.parametrize(
    ("classes", "largest", "hint"),
    [
        (CAMVID_CLASSES, 10, "save the same values in 8 bits: none is above 10"),
        (CITYSCAPES_CLASSES, 26003, "NAME_gtFine_labelIds.png, or save 8 bits: value // 1000"),
        (VOC_CLASSES, 15001, "values up to 15001 number instances"),
    ],
    ids=["indices", "instances of Cityscapes", "instances"],
)
def test_sixteen_bits_are_told_how_to_become_eight(tmp_path: Path, classes: ClassSpec, largest: int, hint: str) -> None:
    values = LABELS.astype(np.uint16)
    values[0, 0] = largest
    cv2.imwrite(str(tmp_path / "x.png"), values)
    message = refusal(tmp_path / "x.png", classes)
    assert "is not a label map; got one channel of 16 bits" in message
    assert hint in message


# Any labels in any encoding


def encoded(path: Path, labels: np.ndarray, encoding: str, classes: ClassSpec, other: ClassSpec) -> str | None:
    """Write labels; return None where they have to be read as they are, else words of the refusal."""
    if encoding == "grey":
        cv2.imwrite(str(path), labels)
        return None
    if encoding == "grey of 4 bits":
        rows = b"".join(
            b"\0" + np.packbits((row[:, None] >> np.arange(3, -1, -1) & 1).ravel()).tobytes() for row in labels
        )
        path.write_bytes(png(*labels.shape, bits=4, rows=rows))
        return None
    if encoding == "own palette":
        write_label_png(path, labels, classes)
        return None
    if encoding == "grey with alpha":
        Image.fromarray(np.dstack([labels, np.full_like(labels, 7)]), mode="LA").save(path)
        return None
    if encoding == "foreign palette":
        write_label_png(path, labels, other)
        return f"has the palette of {other.dataset}"
    if encoding == "16 bits":
        cv2.imwrite(str(path), labels.astype(np.uint16))
        return "one channel of 16 bits; expected class indices"
    write_image(path, np.array(classes.palette, np.uint8)[labels])
    return "colours of 8 bits; expected class indices"


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.integers(0, 10)),
    st.sampled_from(
        ["grey", "grey of 4 bits", "own palette", "grey with alpha", "foreign palette", "16 bits", "colours"]
    ),
    st.permutations(ALL),
)
def test_labels_of_any_encoding_are_read_right_or_refused_with_the_way_on(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, encoding: str, order: list[ClassSpec]
) -> None:
    classes, other = order[:2]
    path = tmp_path_factory.getbasetemp() / "encoded.png"
    told = encoded(path, labels, encoding, classes, other)
    if told is None:
        np.testing.assert_array_equal(read_labels(path, classes, void=VOID, any_palette=True), labels)
    else:
        message = refusal(path, classes, any_palette=True)
        assert told in message and ". Try: " in message


def turned_picture(path: Path, orientation: int, height: int, width: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(2).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize(
    ("orientation", "height", "width"), [(2, 9, 14), (3, 9, 14), (4, 9, 14), (5, 9, 9), (6, 9, 9), (8, 9, 9)]
)
def test_a_labelled_picture_that_is_turned_where_no_size_tells_is_refused(
    tmp_path: Path, suffix: str, orientation: int, height: int, width: int
) -> None:
    path = turned_picture(tmp_path / f"x{suffix}", orientation, height, width)
    with pytest.raises(DatasetError, match=rf"x{suffix} turn or mirror it.*; got EXIF orientation {orientation};"):
        read_labelled_picture(path, read_image)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_labelled_picture_whose_size_tells_is_read_as_it_is_shown(tmp_path: Path, suffix: str) -> None:
    path = turned_picture(tmp_path / f"x{suffix}", 6, 9, 14)
    assert read_labelled_picture(path, read_image).shape == (14, 9, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_labelled_picture_that_is_stored_as_it_is_shown_is_read(tmp_path: Path, suffix: str) -> None:
    path = turned_picture(tmp_path / f"x{suffix}", 1, 9, 14)
    np.testing.assert_array_equal(read_labelled_picture(path, read_image), read_image(path))
