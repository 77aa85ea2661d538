from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtseg.errors import ImageError
from rtseg.images.files import PictureReader, read_image
from tests.images.picture_files import COLOUR, tiff

GREY = COLOUR[..., 0].astype(np.uint16)


def read(path: Path) -> tuple[np.ndarray, list[str]]:
    """Return a picture and what was warned of."""
    warnings: list[str] = []
    return PictureReader(warnings.append)(path), warnings


def test_of_16_bits_the_upper_8_are_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), GREY * 256 + 200)
    image, warnings = read(tmp_path / "x.png")
    assert (image == GREY[..., None]).all() and warnings == []


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("bits", "factor"), [(10, 64), (12, 16), (14, 4)])
def test_values_that_leave_the_upper_bits_empty_are_read_as_stored_and_warned_of(
    tmp_path: Path, suffix: str, bits: int, factor: int
) -> None:
    values = (GREY << bits - 8) + 1
    values[0, 0] = (1 << bits) - 1
    cv2.imwrite(str(tmp_path / f"x.{suffix}"), values)
    image, (warning,) = read(tmp_path / f"x.{suffix}")
    assert (image == (values >> 8)[..., None]).all()
    assert f"x.{suffix} stores 16 bits but uses at most {bits} of them" in warning
    assert f"by {factor} if the sensor gives {bits} bits" in warning
    assert (values.astype(int) * factor < 65536).all() and values.max() * factor > 65000  # so the way on is right


def test_a_sequence_is_read_alike_however_dark_a_frame_is(tmp_path: Path) -> None:
    reader = PictureReader(lambda text: None)
    for name, largest in (("bright", 4095), ("dark", 600)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.array([[512, largest]], np.uint16))
    assert [int(reader(tmp_path / f"{name}.png")[0, 0, 0]) for name in ("bright", "dark")] == [2, 2]


def test_a_source_is_warned_of_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    reader = PictureReader(warnings.append)
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.png"), GREY << 4 | 8)
        reader(tmp_path / f"{name}.png")
    assert len(warnings) == 1 and "a.png" in warnings[0]


def test_black_is_black_in_every_range_and_not_warned_of(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((4, 4), np.uint16))
    image, warnings = read(tmp_path / "x.png")
    assert not image.any() and warnings == []


@pytest.mark.parametrize(("largest", "expected"), [(1023, 255), (4095, 255), (16383, 255), (65535, 255), (1000, 255)])
@pytest.mark.parametrize("kind", ["P2", "P5", "P6"])
def test_a_range_that_the_file_declares_is_the_one_it_is_read_by(
    tmp_path: Path, kind: str, largest: int, expected: int
) -> None:
    values = np.array([0, largest // 2, largest], np.uint16)
    stored = (
        " ".join(map(str, values)).encode() + b"\n" if kind == "P2" else np.repeat(values, 3 if kind == "P6" else 1)
    )
    pixels = stored if isinstance(stored, bytes) else stored.astype(">u2").tobytes()
    (tmp_path / "x.pgm").write_bytes(f"{kind}\n3 1\n{largest}\n".encode() + pixels)
    image, warnings = read(tmp_path / "x.pgm")
    assert image[0, 0, 0] == 0 and abs(int(image[0, 1, 0]) - 127) <= 1 and image[0, 2, 0] == expected
    assert warnings == []


@pytest.mark.parametrize("largest", [1, 7, 100, 254])
@pytest.mark.parametrize("kind", ["P2", "P5"])
def test_a_range_of_fewer_than_8_bits_is_spread_to_white(tmp_path: Path, kind: str, largest: int) -> None:
    pixels = f"0 {largest}\n".encode() if kind == "P2" else bytes([0, largest])
    (tmp_path / "x.pgm").write_bytes(f"{kind} 2 1 {largest}\n".encode() + pixels)
    assert read(tmp_path / "x.pgm")[0][0, :, 0].tolist() == [0, 255]


def test_samples_packed_in_12_bits_are_spread_by_what_the_file_says(tmp_path: Path) -> None:
    packed = "".join(f"{value:012b}" for value in (0, 2048, 4095, 256))
    strip = bytes(int(packed[at : at + 8], 2) for at in range(0, len(packed), 8))
    (tmp_path / "x.tif").write_bytes(tiff(1, 4, strip, bits=12))
    image, warnings = read(tmp_path / "x.tif")
    assert image[0, :, 0].tolist() == [0, 128, 255, 16] and warnings == []


@pytest.mark.parametrize(
    ("numbers", "bits", "told"),
    [(3, 32, "floating-point samples of 32"), (2, 16, "signed samples of 16"), (1, 32, "unsigned samples of 32")],
)
def test_numbers_that_are_no_picture_are_refused(tmp_path: Path, numbers: int, bits: int, told: str) -> None:
    strip = struct.pack("<4f", 0, 0.5, 1, 2) if bits == 32 else struct.pack("<4h", -1, 0, 1, 2)
    (tmp_path / "x.tif").write_bytes(tiff(1, 4, strip, bits=bits, number_kind=numbers))
    with pytest.raises(ImageError, match=rf"x\.tif is not a picture for a network; got {told} bits; expected unsigned"):
        read_image(tmp_path / "x.tif")
