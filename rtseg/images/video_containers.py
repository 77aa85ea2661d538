"""Video containers: whether a file is one at all, and whether everything that it claims to hold is there."""

from __future__ import annotations

import os
from typing import BinaryIO

from rtseg.artifacts.files import PathLike

_SEGMENT = b"\x18\x53\x80\x67"
"""The element of Matroska and WebM that holds everything but the header."""

_BOXES = {b"ftyp", b"styp", b"free", b"skip", b"wide", b"pnot", b"uuid", b"moof", b"sidx"}
"""How an MP4 or QuickTime file may begin, apart from its index and its frames, which may be large."""
_LARGE_BOXES = {b"moov", b"mdat"}
_STARTS = (
    b"\0\0\1",  # MPEG program streams, and MPEG or H.264 alone
    b"\0\0\0\1",
    b"OggS\0",
    b"FLV\1",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF
)
_PACKETS = 12
"""How many packets of a transport stream must begin in the right place."""
_PROBED = 1 << 20
"""How far FFmpeg looks into a file to find its type."""


def is_container(path: PathLike) -> bool:
    """Return whether a file itself holds frames, judged by how it begins.

    FFmpeg judges by the content too, and would follow a list of other files or addresses (ffconcat, HLS, DASH, SDP)
    under any name. Raises OSError.
    """
    with open(path, "rb") as stream:
        data = stream.read(_PROBED)
    text = data.partition(b"\0")[0]  # programs that search for words look no further
    if b"c=IN IP" in text or b"<mpd" in text.lower():
        return False
    kind = data[4:8]
    return (
        (kind in _BOXES and data[0] == 0)
        or kind in _LARGE_BOXES
        or (data[:4] == b"RIFF" and data[8:11] == b"AVI")
        or (data[:4] == b"\x1aE\xdf\xa3" and (b"matroska" in data[:4096] or b"webm" in data[:4096]))
        or data.startswith(_STARTS)
        or any(_is_transport_stream(data, first, size) for first, size in ((0, 188), (4, 192)))
    )


def _is_transport_stream(data: bytes, first: int, size: int) -> bool:
    return len(data) >= _PACKETS * size and all(data[first + at * size] == 0x47 for at in range(_PACKETS))


def missing_part(path: PathLike) -> str | None:
    """Return how much of an incomplete MP4, AVI, Matroska or WebM file is there ("10 bytes of 20"); None if complete.

    The frames before the end of such a file can be read. The number of frames proves nothing: containers estimate it,
    and edits hide frames. Raises OSError.
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
    """Return where the last box of an MP4 ends according to its header."""
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
    """Return where the segment of a Matroska file ends, 0 if the file does not say."""
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
    """Return the next number of variable length; None for the value that means "unknown"."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + stream.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value
