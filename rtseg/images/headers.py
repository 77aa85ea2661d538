"""The claims of a picture file, read before decoding: its format and its size.

Decoders allocate memory by the header's claims. So the claims are read here first, from the bytes themselves, and each
length in a file is compared with the bytes that are there: a file of a few bytes cannot cause gigabytes of allocation.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """The claims of a picture file.

    bits are those of a stored sample. maximum is the value of full intensity in OpenCV's result: 255, or 65535 for more
    than 8 bits, unless the file declares another. block is the largest number of pixels decoded at once, if that may be
    more than the picture (a tile of a TIFF). numbers is the type of the samples: unsigned, signed or floating-point.
    """

    format: str
    height: int
    width: int
    bits: int = 8
    maximum: int = 255
    block: int = 0
    numbers: str = "unsigned"

    @property
    def pixels(self) -> int:
        """The number of pixels that decoding allocates."""
        return max(self.height * self.width, self.block)


class DamagedError(Exception):
    """A file that is incomplete or breaks its own format; the message says where."""


def require_room(data: bytes, start: int, length: int, what: str) -> None:
    """Raise DamagedError unless length bytes follow start."""
    left = max(0, len(data) - start)
    if length > left:
        raise DamagedError(f"{what} of {length} bytes, of which {left} are there")


def unpacked(data: bytes, layout: str, start: int, what: str) -> tuple[int, ...]:
    """Return the integers at start. Raises DamagedError if the file ends before."""
    require_room(data, start, struct.calcsize(layout), what)
    return struct.unpack_from(layout, data, start)


_ALONE = {0x01, *range(0xD0, 0xDA)}
"""Markers of JPEG without a length."""
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
"""A marker, after any number of fill bytes."""
_MOST_SEGMENTS = 100_000
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that begin a frame; its size follows."""


def jpeg_header(data: bytes) -> Header:
    """Return the claims of a JPEG: those of the frame, not of an embedded thumbnail. Raises DamagedError."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        begin = _MARKER.search(data, at)
        if begin is None:
            raise DamagedError("a JPEG without a frame")
        at = begin.end() - 2
        marker = data[at + 1]
        if marker in _ALONE:
            at += 2
            continue
        if marker == 0xDA:
            raise DamagedError("a JPEG whose pixels come before their size")
        (length,) = unpacked(data, ">H", at + 2, "a segment")
        require_room(data, at + 2, length, "a segment")
        if marker in _FRAMES:
            bits, height, width = unpacked(data, ">BHH", at + 4, "a frame")
            return Header("JPEG", height, width, bits)
        at += 2 + max(2, length)
    raise DamagedError(f"a JPEG with more than {_MOST_SEGMENTS} segments before its frame")


def webp_header(data: bytes) -> Header:
    """Return the claims of a WebP: of the canvas if there is one. Raises DamagedError."""
    (length,) = unpacked(data, "<I", 4, "a WebP")
    require_room(data, 8, length, "a WebP")
    (length,) = unpacked(data, "<I", 16, "the first chunk")
    require_room(data, 20, length, "the first chunk")
    kind = data[12:16]
    if kind == b"VP8X":
        sides = unpacked(data, "<6B", 24, "the canvas")
        width, height = (sides[i] + (sides[i + 1] << 8) + (sides[i + 2] << 16) + 1 for i in (0, 3))
    elif kind == b"VP8L":
        (packed,) = unpacked(data, "<I", 21, "the picture")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in unpacked(data, "<HH", 26, "the picture"))
    else:
        raise DamagedError(f"a WebP that begins with {kind!r}")
    return Header("WebP", height, width)


def bmp_header(data: bytes) -> Header:
    """Return the claims of a BMP; uncompressed rows must be complete. Raises DamagedError."""
    start, size = unpacked(data, "<II", 10, "the header")
    if size == 12:
        width, height, _, bits = unpacked(data, "<HHHH", 18, "the header")
        compression = 0
    else:
        width, height, _, bits, compression = unpacked(data, "<iiHHI", 18, "the header")
    height = abs(height)
    if compression in (0, 3):
        require_room(data, start, (width * bits + 31) // 32 * 4 * height, "pixels")
    return Header("BMP", height, width)


_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,10})"


def pnm_header(data: bytes) -> Header:
    """Return the claims of a PBM, PGM or PPM; its pixels must be complete. Raises DamagedError.

    The file declares its largest value, so a file with 12 bits in 16 says so.
    """
    kind = data[1] - ord("0")
    bitmap = kind in (1, 4)
    match = re.match(rb"P[1-6]" + _NUMBER * (2 if bitmap else 3) + rb"\s", data[:4096])
    if match is None:
        raise DamagedError("a header that does not say the size")
    width, height, maximum = int(match[1]), int(match[2]), 1 if bitmap else int(match[3])
    if not 1 <= maximum <= 65535:
        raise DamagedError(f"a largest value of {maximum}")
    samples = height * width * (3 if kind in (3, 6) else 1)
    needed = {1: samples, 4: height * ((width + 7) // 8)}.get(kind, samples * (2 if maximum > 255 else 1))
    if kind in (2, 3):
        needed = 2 * samples - 1  # one digit each, and a separator between them
    require_room(data, match.end(), needed, "pixels")
    if kind == 1 or kind == 4 or (kind in (2, 3) and maximum < 256):
        maximum = 255  # OpenCV scales these to 8 bits itself
    return Header("PNM", height, width, 16 if maximum > 255 else 8, maximum)
