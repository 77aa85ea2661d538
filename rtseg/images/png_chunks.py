"""A PNG as its chunks: what it claims, and the same pixels without the chunks that only cost memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from rtseg.images.headers import DamagedError, Header, require_room, unpacked

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, PALETTE = 0, 2, 3
"""Colour types; adding 4 means an alpha channel."""

_LEFT_OUT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"acTL", b"fcTL", b"fdAT"}
"""Chunks of text, profiles and animation. Unpacking them costs memory, and the still picture needs none of them."""

MOST_CHUNKS = 1 << 18
"""libpng writes 8 kB a chunk, so these hold 2 GB; millions of empty chunks only cost time."""


class Chunk(NamedTuple):
    """One chunk: its type, its content, and the whole chunk as stored, with length and checksum."""

    kind: bytes
    content: memoryview
    whole: memoryview


class PngFacts(NamedTuple):
    """The header of a PNG, its colour type, and its palette: bytes of RGB, empty without one."""

    header: Header
    colour_type: int
    palette: bytes


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG in the order of the file, up to and including IEND, the last one.

    Raises DamagedError for a chunk longer than the file, and for more chunks than any picture of an allowed size has.
    """
    view = memoryview(data)
    at = len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        (length,) = unpacked(data, ">I", at, "a chunk")
        kind = data[at + 4 : at + 8]
        end = at + length + 12
        require_room(data, at + 8, length + 4, f"the chunk {repr(kind)[2:-1]}")
        yield Chunk(kind, view[at + 8 : end - 4], view[at:end])
        if kind == b"IEND":
            return
        at = end
    raise DamagedError(f"a PNG of more than {MOST_CHUNKS} chunks")


def png_facts(data: bytes) -> PngFacts:
    """Return the claims of a PNG, all of whose chunks must be complete. Raises DamagedError."""
    found = chunks(data)
    first = next(found)
    if first.kind != b"IHDR" or len(first.content) != 13:
        raise DamagedError("a PNG that does not begin with its header")
    width, height, bits, colour_type = struct.unpack_from(">IIBB", first.content)
    if bits not in (1, 2, 4, 8, 16):
        raise DamagedError(f"a PNG of {bits} bits a sample")
    palette = b""
    for chunk in found:
        if chunk.kind == b"PLTE":
            palette = bytes(chunk.content)
    return PngFacts(Header("PNG", height, width, bits, 255 if bits <= 8 else 65535), colour_type, palette)


def still_picture(data: bytes) -> bytes:
    """Return a PNG of the same pixels without text, profiles and animation."""
    found = list(chunks(data))
    if not any(chunk.kind in _LEFT_OUT for chunk in found):
        return data
    return b"".join([SIGNATURE, *(chunk.whole for chunk in found if chunk.kind not in _LEFT_OUT)])


def indices_as_grey(data: bytes) -> bytes:
    """Return a palette PNG, or a grey one, as a grey PNG whose values are its indices.

    Both are stored alike. So any decoder returns the indices; it would turn the palette PNG into colours.
    """
    header, *others = chunks(data)
    content = b"IHDR" + header.content[:9] + bytes([GREY]) + header.content[10:]
    first = header.whole[:4], content, struct.pack(">I", zlib.crc32(content))
    return b"".join([SIGNATURE, *first, *(chunk.whole for chunk in others if chunk.kind in (b"IDAT", b"IEND"))])
