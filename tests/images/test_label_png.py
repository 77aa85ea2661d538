from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from rtseg.errors import ImageError
from rtseg.images.label_png import read_label_png, read_stored_labels, write_label_png
from tests.images.picture_files import png

LABELS = np.random.default_rng(0).integers(0, 4, (7, 13)).astype(np.uint8)
PALETTE = [(128, 128, 128), (128, 0, 0), (192, 192, 128), (0, 0, 0)]


def packed(labels: np.ndarray, bits: int) -> bytes:
    """Return rows of a PNG whose values take so many bits."""
    spread = (labels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in spread)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_grey_values_of_few_bits_are_the_indices_and_not_brightness(tmp_path: Path, bits: int) -> None:
    (tmp_path / "x.png").write_bytes(png(7, 13, bits=bits, rows=packed(LABELS, bits)))
    np.testing.assert_array_equal(read_label_png(tmp_path / "x.png"), LABELS)


def test_a_mask_of_one_bit_holds_0_and_1(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(7, 13, bits=1, rows=packed(LABELS & 1, 1)))
    np.testing.assert_array_equal(read_label_png(tmp_path / "x.png"), LABELS & 1)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.booleans(), st.booleans())
def test_a_palette_png_gives_the_indices_that_pillow_wrote(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, optimised: bool, transparent: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.png"
    picture = Image.fromarray(labels).convert("P")
    picture.putpalette([value for index in range(256) for value in (255 - index, index, 7)])
    picture.save(path, **({"transparency": 3} if transparent else {}), bits=8, optimize=optimised)
    with Image.open(path) as stored:
        expected = np.array(stored)
    np.testing.assert_array_equal(read_label_png(path), expected)


def test_the_palette_is_given_beside_the_indices(tmp_path: Path) -> None:
    picture = Image.fromarray(LABELS).convert("P")
    picture.putpalette([value for colour in PALETTE for value in colour])
    picture.save(tmp_path / "x.png", bits=2)
    stored = read_stored_labels(tmp_path / "x.png")
    assert stored.palette[:4] == tuple(PALETTE)
    np.testing.assert_array_equal(stored.values, LABELS)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    from rtseg.datasets.registry import class_spec

    classes = class_spec("camvid")
    write_label_png(tmp_path / "x.png", LABELS, classes)
    stored = read_stored_labels(tmp_path / "x.png")
    np.testing.assert_array_equal(stored.values, LABELS)
    assert stored.palette[: len(classes)] == classes.palette


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((4, 5, 3), np.uint8), "colours of 8 bits"),
        (np.zeros((4, 5, 4), np.uint8), "colours of 8 bits"),
        (np.zeros((4, 5, 3), np.uint16), "colours of 16 bits"),
        (np.zeros((4, 5), np.uint16), "one channel of 16 bits"),
    ],
    ids=["colours", "colours with alpha", "colours of 16 bits", "16 bits"],
)
def test_what_is_no_channel_of_8_bits_is_no_label_map(tmp_path: Path, values: np.ndarray, told: str) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), values)
    with pytest.raises(ImageError, match=f"x.png is not a label map; got {told}"):
        read_label_png(tmp_path / "x.png")


def test_transparency_beside_the_indices_is_left_aside(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([LABELS, 255 - LABELS]), mode="LA").save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_label_png(tmp_path / "x.png"), LABELS)


@pytest.mark.parametrize("mode", ["L", "LA", "P"])
@pytest.mark.parametrize("turned", range(2, 9))
def test_labels_are_never_turned(tmp_path: Path, mode: str, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    labels = Image.fromarray(LABELS, mode="P" if mode == "P" else "L")
    if mode == "P":
        labels.putpalette(range(256))
    labels.convert(mode).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(read_label_png(tmp_path / "x.png"), LABELS)


def test_labels_in_another_format_are_refused(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "x.png", format="BMP")
    with pytest.raises(ImageError, match=r"x\.png is not a PNG; got a BMP"):
        read_label_png(tmp_path / "x.png")
