"""Picture files as tests want them: small whole ones of every format, and headers that claim more than there is."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

COLOUR = np.random.default_rng(3).integers(0, 256, (20, 31, 3), np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    height: int, width: int, *, bits: int = 8, colour_type: int = 0, rows: bytes = b"", more: Iterable[bytes] = ()
) -> bytes:
    """Return a PNG of that header; more are whole chunks before its pixels, rows the pixels as they are deflated."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", header, *more, chunk(b"IDAT", zlib.compress(rows, 1)), chunk(b"IEND", b"")],
    )


def stored_by_pillow(format_name: str, array: np.ndarray = COLOUR, **options: object) -> bytes:
    written = io.BytesIO()
    Image.fromarray(array).save(written, format=format_name, **options)
    return written.getvalue()


def tiff(
    height: int,
    width: int,
    strip: bytes,
    *,
    bits: int = 8,
    number_kind: int = 1,
    big: bool = False,
    order: str = "<",
    more: Iterable[tuple[int, int]] = (),
) -> bytes:
    """Return an uncompressed grey TIFF of one strip; more are further fields, tag and value, each one LONG."""
    fields = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: 1,
        277: 1,
        278: height,
        279: len(strip),
        339: number_kind,
    }
    word, count = ("Q", "Q") if big else ("I", "H")
    start = 16 if big else 8
    fields |= {273: start, **dict(more)}
    at = start + len(strip)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, at) if big else struct.pack(order + "I", at)
    entries = b"".join(
        struct.pack(order + "HH" + word + "I", tag, 4, 1, value) + bytes(4 if big else 0)
        for tag, value in sorted(fields.items())
    )
    return head + strip + struct.pack(order + count, len(fields)) + entries + bytes(8 if big else 4)


def bmp(height: int, width: int, pixels: bytes = b"", *, bits: int = 24, compression: int = 0) -> bytes:
    header = struct.pack("<IIIIiiHHIIIIII", 54 + len(pixels), 0, 54, 40, width, height, 1, bits, compression, *[0] * 5)
    return b"BM" + header + pixels


def jpeg_frame(height: int, width: int) -> bytes:
    frame = struct.pack(">HBHHB", 8 + 3, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xc0" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x00\xff\xd9"


def webp(kind: bytes, content: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_canvas(height: int, width: int) -> bytes:
    return webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


WHOLE = {
    "PNG": stored_by_pillow("PNG"),
    "JPEG": stored_by_pillow("JPEG"),
    "progressive JPEG": stored_by_pillow("JPEG", progressive=True, quality=50),
    "WebP": stored_by_pillow("WEBP"),
    "lossless WebP": stored_by_pillow("WEBP", lossless=True),
    "WebP with a profile": stored_by_pillow("WEBP", icc_profile=b"profile " * 20),
    "BMP": stored_by_pillow("BMP"),
    "palette BMP": stored_by_pillow("BMP", COLOUR[..., 0]),
    "PPM": stored_by_pillow("PPM"),
    "PGM": stored_by_pillow("PPM", COLOUR[..., 0]),
    "TIFF": stored_by_pillow("TIFF"),
    "LZW TIFF": stored_by_pillow("TIFF", compression="tiff_lzw"),
    "BigTIFF": tiff(20, 31, COLOUR[..., 0].tobytes(), big=True),
    "big-endian TIFF": tiff(20, 31, COLOUR[..., 0].tobytes(), order=">"),
}
"""Whole files by what they are, each of 20 rows and 31 columns."""
