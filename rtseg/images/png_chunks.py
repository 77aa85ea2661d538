"""A PNG as the chunks that it is made of: what it claims, and the same pixels without what only costs memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from rtseg.images.headers import DamagedError, Header, require_room, unpacked

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, PALETTE = 0, 2, 3
"""Colour types; with 4 added there is an alpha channel."""

_LEFT_OUT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"acTL", b"fcTL", b"fdAT"}
"""Chunks of text, profiles and animation. They unpack to what nobody asked for; the still picture is in none."""

MOST_CHUNKS = 1 << 18
"""Of the 8 kB that libpng puts into one these are 2 GB; millions of empty ones only cost time."""


class Chunk(NamedTuple):
    """One chunk: its type, its content, and all of it as it stands in the file, length and checksum with it."""

    kind: bytes
    content: memoryview
    whole: memoryview


class PngFacts(NamedTuple):
    """The header of a PNG, its colour type, and its palette, bytes of RGB, empty where there is none."""

    header: Header
    colour_type: int
    palette: bytes


def chunks(data: bytes) -> Iterator[Chunk]:
    """Give the chunks up to the end of the picture.

    Raises DamagedError for one that is longer than the file, and for more than any picture of an allowed size has.
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
    """Return the claims of a PNG, all of whose chunks have to be there. Raises DamagedError."""
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
    """Return a PNG of the same pixels without texts, profiles and animation."""
    found = list(chunks(data))
    if not any(chunk.kind in _LEFT_OUT for chunk in found):
        return data
    return b"".join([SIGNATURE, *(chunk.whole for chunk in found if chunk.kind not in _LEFT_OUT)])


def indices_as_grey(data: bytes) -> bytes:
    """Return a palette PNG, or a grey one, as a grey one whose values are its indices.

    The two are stored alike. So any decoder gives the indices, which it would else turn into colours.
    """
    header, *others = chunks(data)
    content = b"IHDR" + header.content[:9] + bytes([GREY]) + header.content[10:]
    first = header.whole[:4], content, struct.pack(">I", zlib.crc32(content))
    return b"".join([SIGNATURE, *first, *(chunk.whole for chunk in others if chunk.kind in (b"IDAT", b"IEND"))])
