from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import ImageError, SpecError
from rtseg.images.files import read_image
from rtseg.images.stored import MAX_PIXELS, stored_picture
from tests.images.picture_files import COLOUR, WHOLE, bmp, chunk, jpeg_frame, png, tiff, webp, webp_canvas

Reading = Callable[[bytes], str]


@pytest.fixture
def refused(tmp_path: Path) -> Reading:
    """Read a file of that content as a picture, which has to be refused; return the message."""

    def message(content: bytes) -> str:
        (tmp_path / "x.png").write_bytes(content)
        with pytest.raises(ImageError) as raised:
            read_image(tmp_path / "x.png")
        return str(raised.value)

    return message


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_of_every_format_says_its_size_and_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x").write_bytes(WHOLE[kind])
    header = stored_picture(tmp_path / "x").header
    assert (header.height, header.width) == (20, 31)
    assert read_image(tmp_path / "x").shape == (20, 31, 3)


# Claims

SIDES = 30000, 30000
HUGE = {
    "PNG": png(*SIDES, rows=bytes(30001)),
    "PNG of 16 bits in colour": png(*SIDES, bits=16, colour_type=6),
    "JPEG": jpeg_frame(*SIDES),
    "WebP canvas": webp_canvas(*SIDES),
    "WebP": webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383) + bytes(10)),
    "lossless WebP": webp(b"VP8L", b"\x2f" + struct.pack("<I", 0x0FFFFFFF) + bytes(10)),
    "BMP": bmp(*SIDES, compression=1),
    "BMP from the top": bmp(-30000, 30000, compression=1),
    "TIFF": tiff(*SIDES, b"\0"),
    "BigTIFF": tiff(*SIDES, b"\0", big=True),
    "TIFF whose one tile is huge": tiff(16, 16, b"\0" * 256, more=[(322, 30000), (323, 30000)]),
    "TIFF of many samples": tiff(4096, 4096, b"\0" * 256, more=[(277, 1024)]),
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(refused: Reading, kind: str) -> None:
    message = refused(HUGE[kind])
    assert "x.png has too many pixels; got " in message
    assert f"expected at most {MAX_PIXELS}. Try: use a smaller picture" in message


def lengths_beyond_the_end() -> dict[str, bytes]:
    whole = WHOLE["PNG"]
    return {
        "PNG": whole[:33] + struct.pack(">I", 0xFFFFFFEF) + b"IDAT",
        "PNG text": whole[:33] + struct.pack(">I", 0x7FFFFFFF) + b"zTXt" + whole[33:],
        "JPEG": b"\xff\xd8\xff\xe1\xff\xff" + bytes(20),
        "WebP": b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff",
        "BMP": bmp(5000, 5000, bytes(100)),
        "PPM": b"P6\n5000 5000\n255\n" + bytes(100),
        "TIFF": tiff(20, 31, b"\0", more=[(279, 0xFFFFFFFF)]),
        "TIFF directory": b"II*\0" + struct.pack("<IH", 8, 0xFFFF),
        "BigTIFF directory": b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 1 << 60),
    }


@pytest.mark.parametrize("kind", lengths_beyond_the_end())
def test_a_length_beyond_the_end_of_the_file_is_refused_with_both(refused: Reading, kind: str) -> None:
    message = refused(lengths_beyond_the_end()[kind])
    assert "x.png is not a picture OpenCV can read; got " in message
    assert " bytes, of which " in message and " are there" in message


def test_the_limit_is_a_variable_that_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.png").write_bytes(WHOLE["PNG"])
    monkeypatch.setenv("RTSEG_MAX_PIXELS", "619")
    with pytest.raises(
        ImageError, match=r"too many pixels; got 20x31 = 620; expected at most 619.*RTSEG_MAX_PIXELS=620"
    ):
        stored_picture(tmp_path / "x.png")
    monkeypatch.setenv("RTSEG_MAX_PIXELS", "620")
    stored_picture(tmp_path / "x.png")
    for text in ("0", "-1", "1e9", "x", str(1 << 31), "9" * 5000):
        monkeypatch.setenv("RTSEG_MAX_PIXELS", text)
        with pytest.raises(SpecError, match="RTSEG_MAX_PIXELS is not a number of pixels"):
            stored_picture(tmp_path / "x.png")


def test_a_file_that_is_larger_than_any_picture_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "x.png", "wb") as stream:
        stream.truncate(100 << 30)  # a hole, no disk
    with pytest.raises(ImageError, match="is too large for a picture; got 107374182400 bytes"):
        stored_picture(tmp_path / "x.png")


BOMBS = """
import sys, resource
from rtseg.images.files import read_image
from rtseg.images.label_png import read_label_png
from rtseg.errors import ImageError
read_image(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    for read in (read_image, read_label_png):
        try: read(path)
        except ImageError: pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_what_unpacks_to_gigabytes_takes_a_few_megabytes(tmp_path: Path) -> None:
    unpacked = bytes(100 << 20)
    text = zlib.compress(unpacked, 1)
    rows = b"".join(b"\0" + COLOUR[row].tobytes() for row in range(20))
    files = {
        "plain": png(20, 31, colour_type=2, rows=rows),
        "claim": lengths_beyond_the_end()["PNG"],
        "pixels": png(32000, 32000, rows=bytes(1 << 20)),
        "wide": png(1000, 999999, rows=bytes(1 << 20)),
        "text": png(20, 31, colour_type=2, rows=rows, more=[chunk(b"zTXt", b"key\0\0" + text)]),
        "international": png(20, 31, colour_type=2, rows=rows, more=[chunk(b"iTXt", b"key\0\1\0\0\0" + text)]),
        "profile": png(20, 31, colour_type=2, rows=rows, more=[chunk(b"iCCP", b"key\0\0" + text)]),
        "more": png(20, 31, colour_type=2, rows=unpacked),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    paths = [str(tmp_path / f"{name}.png") for name in files]
    done = subprocess.run([sys.executable, "-c", BOMBS, *paths], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60, done.stderr
    for name in ("text", "international", "profile"):
        assert (read_image(tmp_path / f"{name}.png") == COLOUR).all()


# What is no picture file


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: path.mkdir(), "it is a folder, not a file"),
        (lambda path: os.mkfifo(path), "it is a named pipe, not a file"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to a missing file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
        (lambda path: None, "No such file or directory"),
    ],
    ids=["folder", "pipe", "broken link", "device", "nothing"],
)
def test_what_is_no_file_is_refused_and_never_waited_for(
    tmp_path: Path, make: Callable[[Path], object], word: str
) -> None:
    make(tmp_path / "x.png")
    with pytest.raises(ImageError, match=f"cannot read .*x.png: {word}"):
        stored_picture(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"\0\5\x16\7" + bytes(99), "what macOS keeps beside a file"),
        (b"\0\0\0\x18ftypheic", "a HEIC, an AVIF or a video"),
        (b"GIF89a", "a GIF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html>", "a web page"),
    ],
)
def test_what_lies_under_a_pictures_name_is_called_what_it_is(refused: Reading, content: bytes, what: str) -> None:
    assert f"x.png is not a picture OpenCV can read; got {what}" in refused(content)


@settings(deadline=None, max_examples=250, derandomize=True)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_damaged_file_is_read_or_refused_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    content = bytearray(WHOLE[kind])
    beginning = st.integers(0, min(len(content), 120) - 1)
    for place in data.draw(st.lists(beginning, max_size=4)):
        content[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        image = read_image(path)
    except ImageError as error:
        assert str(path) in str(error)
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.size <= 3 * MAX_PIXELS
