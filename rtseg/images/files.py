"""Pictures on disk, read and written with OpenCV; always uint8, colour as RGB."""

from __future__ import annotations

import io
import logging
import struct
from pathlib import Path
from typing import Any, Callable, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from rtseg.artifacts.files import PathLike, read_bytes, written_atomically
from rtseg.errors import ImageError
from rtseg.images.decoding import decoded, memory_errors, memory_for
from rtseg.images.headers import DamagedError, Header
from rtseg.images.png_chunks import SIGNATURE, chunks
from rtseg.images.stored import stored_picture

Pixels = NDArray[np.uint8]

LOGGER: Final = logging.getLogger("rtseg")

CUSTOMARY_BITS = (10, 12, 14)
"""Bit depths of sensors that are stored in files of 16 bits; a picture that uses no more causes a warning."""

_ORIENTATION = 0x0112


class PictureReader:
    """Reads the pictures of one source. Each kind of warning is given once, for the first picture that causes it."""

    def __init__(self, warn: Callable[[str], None] = LOGGER.warning) -> None:
        """warn receives the warnings."""
        self._warn = warn
        self._told = False

    def __call__(self, path: PathLike) -> Pixels:
        """Return the picture as uint8 (height, width, 3), RGB. Raises ImageError.

        Of 16 bits the upper 8 are used, or the range that the file declares (a PGM or PPM does). No range is guessed
        from the values: a dark frame would get another range than its neighbours, and a sequence would flicker. So a
        picture whose upper bits are empty is read as nearly black, with a warning.
        """
        with memory_for(path):
            image, bits = _read(path)
        if bits is not None and not self._told:
            self._told = True
            self._warn(
                f"{path} stores 16 bits but uses at most {bits} of them, so it is nearly black to a network; "
                "others may be too. Try: multiply every picture of the source by the same factor, "
                f"by {1 << 16 - bits} if the sensor gives {bits} bits"
            )
        return image


def read_image(path: PathLike) -> Pixels:
    """Return the picture as uint8 (height, width, 3), RGB, as a PictureReader does. Raises ImageError."""
    return PictureReader()(path)


def _read(path: PathLike) -> tuple[Pixels, int | None]:
    """Return a picture, and the number of bits it uses if that is fewer than it is stored and scaled with."""
    data, header = stored_picture(path)
    if header.numbers != "unsigned" or header.bits > 16:
        raise ImageError(
            f"{path} is not a picture for a network",
            got=f"{header.numbers} samples of {header.bits} bits",
            expected="unsigned ones of 8 or 16 bits",
            hint="convert it to a PNG with a range that you choose",
        )
    if header.maximum == 255:
        return decoded(path, data, cv2.IMREAD_COLOR).astype(np.uint8, copy=False), None
    stored = decoded(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    return _to_8_bits(stored, header), _used_bits(stored, header)


def _to_8_bits(stored: NDArray[Any], header: Header) -> Pixels:
    """Return samples as 8 bits: the header's maximum becomes 255."""
    if header.maximum < 255:
        table = (np.arange(256) * 255 + header.maximum // 2) // header.maximum
        return np.take(np.minimum(table, 255).astype(np.uint8), stored)
    if stored.dtype == np.uint8:
        return stored
    if header.maximum == 65535:
        return (stored >> 8).astype(np.uint8)
    table = np.minimum(np.arange(1 << 16) * 256 // (header.maximum + 1), 255).astype(np.uint8)
    return np.take(table, stored)


def _used_bits(stored: NDArray[Any], header: Header) -> int | None:
    if header.bits != 16 or header.maximum != 65535:
        return None
    largest = int(stored.max())
    if not largest:
        return None  # black is black in any range
    return next((bits for bits in CUSTOMARY_BITS if largest < 1 << bits), None)


def orientation(path: PathLike) -> int:
    """Return the EXIF number of the rotation or mirroring to show a picture with; 1 if it is shown as stored.

    Reading a picture applies it; label files are never turned.
    """
    try:
        data = read_bytes(path)
        if data.startswith(SIGNATURE):  # for a PNG, Pillow would unpack all pixels to find out
            exif = PillowImage.Exif()
            exif.load(next((bytes(chunk.content) for chunk in chunks(data) if chunk.kind == b"eXIf"), b""))
        else:
            exif = PillowImage.open(io.BytesIO(data)).getexif()
        found = exif.get(_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, struct.error, DamagedError, PillowImage.DecompressionBombError):
        return 1
    return found if found in range(1, 9) else 1


def write_image(path: PathLike, image: Pixels) -> None:
    """Write uint8 RGB (height, width, 3) or grey (height, width); the suffix selects the format.

    Raises ImageError, MemoryError and WriteError.
    """
    with memory_errors():
        stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
        done, encoded = cv2.imencode(Path(path).suffix, stored)
    if not done:
        raise ImageError(f"cannot encode {path}", got=f"{image.dtype} {image.shape}")
    with written_atomically(path) as part:
        part.write_bytes(encoded.tobytes())


def resize_image(image: Pixels, height: int, width: int) -> Pixels:
    """Return a uint8 picture resized bilinearly to height x width by OpenCV (for training)."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
