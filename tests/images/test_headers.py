"""Headers whose length costs time alone are passed over at once, or refused."""

from __future__ import annotations

import struct
import time

import pytest

from rtseg.images.headers import DamagedError, jpeg_header
from rtseg.images.tiff_header import tiff_header
from tests.images.picture_files import jpeg_frame

FRAME = jpeg_frame(20, 31)
BEGIN, REST = FRAME[:2], FRAME[2:]
SECONDS = 2.0
"""What passing over a byte at a time takes several times over."""


@pytest.mark.parametrize("fill", [b"\xff" * (20 << 20), b"\xff\0" * (10 << 20)], ids=["fill", "stuffing"])
def test_what_fills_a_jpeg_is_passed_over_at_once(fill: bytes) -> None:
    begin = time.perf_counter()
    header = jpeg_header(BEGIN + fill + REST)
    assert time.perf_counter() - begin < SECONDS
    assert (header.height, header.width) == (20, 31)


@pytest.mark.parametrize("segment", [b"\xff\xd0", b"\xff\xe0\0\2"], ids=["markers alone", "empty segments"])
def test_a_jpeg_of_countless_segments_is_refused(segment: bytes) -> None:
    with pytest.raises(DamagedError, match="a JPEG with more than 100000 segments before its frame"):
        jpeg_header(BEGIN + segment * 200_000 + REST)
    assert jpeg_header(BEGIN + segment * 1000 + REST).height == 20


def test_a_jpeg_without_a_frame_is_refused() -> None:
    for data in (BEGIN, BEGIN + b"\xff" * 100, BEGIN + b"\xff\0" * 100):
        with pytest.raises(DamagedError, match="a JPEG without a frame"):
            jpeg_header(data)


def test_a_tiff_of_countless_fields_is_refused() -> None:
    fields = 100_000
    data = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, fields) + bytes(20 * fields)
    with pytest.raises(DamagedError, match="a directory of 100000 fields"):
        tiff_header(data)
