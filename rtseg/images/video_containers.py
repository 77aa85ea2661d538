"""Whether a video file is whole: what its container claims to hold, beside what the file has."""

from __future__ import annotations

import os
from typing import BinaryIO

from rtseg.artifacts.files import PathLike

_SEGMENT = b"\x18\x53\x80\x67"
"""The element of Matroska and WebM that holds everything but the header."""


def missing_part(path: PathLike) -> str | None:
    """Return in words how much of an MP4, AVI, Matroska or WebM file is there; None where it is all that it claims.

    The frames before the end of such a file can be read. Their number proves nothing: containers estimate it, and
    edits hide frames. Raises OSError.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        start = stream.read(12)
        if start[4:8] == b"ftyp":
            claimed = _end_of_boxes(stream, size)
        elif start[:4] == b"RIFF":
            claimed = 8 + int.from_bytes(start[4:8], "little")
        elif start[:4] == b"\x1aE\xdf\xa3":
            claimed = _end_of_segment(stream)
        else:
            return None
    return f"{size} bytes of {claimed}" if claimed > size else None


def _end_of_boxes(stream: BinaryIO, size: int) -> int:
    """Return where the last box of an MP4 ends by its own account."""
    at = 0
    while at + 8 <= size:
        stream.seek(at)
        header = stream.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return size  # 0: to the end of the file
        at += length
    return at


def _end_of_segment(stream: BinaryIO) -> int:
    """Return where the segment of a Matroska file ends, 0 where it does not say."""
    stream.seek(4)
    header = _number(stream)
    if header is None:
        return 0
    stream.seek(header, os.SEEK_CUR)
    if stream.read(4) != _SEGMENT:
        return 0
    length = _number(stream)
    return 0 if length is None else stream.tell() + length


def _number(stream: BinaryIO) -> int | None:
    """Return the next number of variable length; None for the one that says "unknown"."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + stream.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value
