"""A TIFF whose pixels do not all unpack is refused; OpenCV alone would give black for what it lacks."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from rtseg.errors import ImageError
from rtseg.images.files import read_image
from tests.images.picture_files import tiff

NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
COLOUR = cv2.resize(NOISE, (160, 120))
LZW, DEFLATE, PACKBITS = 5, 8, 32773

SAMPLES = {
    "RGB of 8 bits": COLOUR,
    "grey of 8 bits": COLOUR[..., 0],
    "RGB of 16 bits": COLOUR.astype(np.uint16) * 257,
    "grey of 16 bits": COLOUR[..., 0].astype(np.uint16) * 257,
}


def stored(samples: str, compression: int) -> bytes:
    done, data = cv2.imencode(".tif", SAMPLES[samples], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert done
    return data.tobytes()


@pytest.mark.parametrize("compression", [1, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("samples", SAMPLES)
def test_a_whole_tiff_is_read(samples: str, compression: int, tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(stored(samples, compression))
    expected = SAMPLES[samples]
    if expected.dtype == np.uint16:
        expected = (expected >> 8).astype(np.uint8)
    expected = np.repeat(expected[..., None], 3, 2) if expected.ndim == 2 else expected[..., ::-1]
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), expected)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_a_whole_tiff_of_each_kind_that_pillow_writes_is_read(mode: str, tmp_path: Path) -> None:
    PillowImage.fromarray(COLOUR).convert(mode).save(tmp_path / "x.tif")
    assert read_image(tmp_path / "x.tif").shape == COLOUR.shape


def refused_with_bytes_lost(path: Path, samples: str, compression: int, place: float) -> None:
    data = bytearray(stored(samples, compression))
    at = int(place * len(data))
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"lost\.tif is not a picture OpenCV can read"):
        read_image(path)


@settings(max_examples=60, deadline=None)
@given(samples=st.sampled_from(sorted(SAMPLES)), place=st.floats(0.1, 0.8))
def test_a_deflated_tiff_with_bytes_lost_is_refused(
    tmp_path_factory: pytest.TempPathFactory, samples: str, place: float
) -> None:
    refused_with_bytes_lost(tmp_path_factory.getbasetemp() / "lost.tif", samples, DEFLATE, place)


@pytest.mark.parametrize("samples", SAMPLES)
def test_an_lzw_tiff_whose_strip_gives_too_few_pixels_is_refused(samples: str, tmp_path: Path) -> None:
    # LZW has no checksum: bytes that were lost show only where a strip then gives another number of pixels.
    refused_with_bytes_lost(tmp_path / "lost.tif", samples, LZW, 0.5)


def deflated(content: bytes, height: int = 20, width: int = 31) -> bytes:
    return tiff(height, width, content, more=[(259, DEFLATE)])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zlib.compress(bytes(620))[:-4] + b"\1\2\3\4", "a strip or tile with another checksum, or damaged"),
        (zlib.compress(bytes(620))[:-6], "a strip or tile that does not end where its pixels do"),
        (zlib.compress(bytes(64 << 20)), "a strip or tile that does not end where its pixels do"),
        (zlib.compress(bytes(300)), "a damaged TIFF: "),
    ],
    ids=["another checksum", "cut short", "more than its pixels", "fewer than its pixels"],
)
def test_what_is_deflated_has_to_give_its_pixels_and_no_more(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(deflated(content))
    with pytest.raises(ImageError, match=re.escape(f"got {told}")):
        read_image(tmp_path / "x.tif")


def test_a_strip_without_compression_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(20, 31, bytes(300)))
    with pytest.raises(ImageError, match="a damaged TIFF"):
        read_image(tmp_path / "x.tif")


def test_of_several_pages_the_first_alone_is_read(tmp_path: Path) -> None:
    pages = [PillowImage.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 20)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert (read_image(tmp_path / "x.tif") == 10).all()
