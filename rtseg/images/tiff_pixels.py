"""Whether the pixels of a TIFF are complete. OpenCV does not say so: with 8 bits a sample, missing pixels are black."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

from PIL import TiffImagePlugin

from rtseg.images.headers import DamagedError, Header
from rtseg.images.tiff_header import deflated_parts

_PIECE = 1 << 20


def require_whole_pixels(data: bytes, header: Header) -> None:
    """Raise DamagedError unless every strip and tile of the first picture of a TIFF unpacks without an error.

    Checksums of deflated parts are compared; decoders skip them if they have enough pixels before. With more than 8
    bits OpenCV itself refuses an incomplete file. Check the number of pixels first: nothing here limits it. Raises
    MemoryError.
    """
    most = 8 * header.pixels * 4 + _PIECE
    for part in deflated_parts(data):
        _require_checksum(part, most)
    if header.bits <= 8:
        _require_unpacked(data)


def _require_checksum(part: memoryview, most: int) -> None:
    """Raise DamagedError unless a deflated part is complete and unpacks to at most that many bytes."""
    unpacker, given = zlib.decompressobj(), 0
    try:
        while not unpacker.eof:
            piece = unpacker.decompress(part, _PIECE)
            given += len(piece)
            part = memoryview(unpacker.unconsumed_tail)
            if given > most or (not piece and not part and not unpacker.eof):
                raise DamagedError("a strip or tile that does not end where its pixels do")
    except zlib.error as error:
        raise DamagedError("a strip or tile with another checksum, or damaged") from error


def _require_unpacked(data: bytes) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about fields that are not needed here
            TiffImagePlugin.TiffImageFile(io.BytesIO(data)).load()
    except SyntaxError as error:
        raise DamagedError("a TIFF of a kind that cannot be proven to be whole") from error
    except (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError, struct.error) as error:
        raise DamagedError(f"a damaged TIFF: {error}") from error
