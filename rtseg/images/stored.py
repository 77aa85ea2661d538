"""The bytes of a picture file, returned only if no claim of its header can harm the decoder."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from rtseg.artifacts.files import PathLike, read_bytes, require_regular_file
from rtseg.errors import ImageError, SpecError
from rtseg.images.headers import DamagedError, Header, bmp_header, jpeg_header, pnm_header, webp_header
from rtseg.images.png_chunks import SIGNATURE, png_facts, still_picture
from rtseg.images.tiff_header import tiff_header
from rtseg.images.tiff_pixels import require_whole_pixels

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")

LIMIT = "RTSEG_MAX_PIXELS"
"""The environment variable that sets the largest number of pixels of a picture."""
MAX_PIXELS = 1 << 27
"""The default limit: 402 MB of RGB. Labelling such a picture takes four times that."""
OPENCV_MAX_PIXELS = 1 << 30
"""The most pixels that OpenCV decodes."""
BYTES_A_PIXEL = 8
"""A file with more bytes than this for each allowed pixel is refused unread: four samples of 16 bits need no more."""
SMALL_FILE = 64 << 20
"""A file of up to so many bytes is never too large, however few pixels are allowed: it may hold more than pixels."""


class StoredPicture(NamedTuple):
    """The bytes of a file, and its claims."""

    data: bytes
    header: Header


_FORMATS: tuple[tuple[bytes, int, Callable[[bytes], Header]], ...] = (
    (SIGNATURE, 0, lambda data: png_facts(data).header),
    (b"\xff\xd8\xff", 0, jpeg_header),
    (b"WEBP", 8, webp_header),
    (b"BM", 0, bmp_header),
    *((b"P%d" % kind, 0, pnm_header) for kind in range(1, 7)),
    *((start, 0, tiff_header) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
"""How each format begins, at which byte, and the function that reads its header."""

_OTHERS = (
    (b"\0\x05\x16\x07", 0, "what macOS keeps beside a file on foreign disks"),
    (b"GIF8", 0, "a GIF"),
    (b"ftyp", 4, "a HEIC, an AVIF or a video"),
    (b"\0\0\0\x0cjP  ", 0, "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "a JPEG 2000"),
    (b"v/1\x01", 0, "an OpenEXR"),
    (b"#?R", 0, "a Radiance HDR"),
    (b"%PDF", 0, "a PDF"),
    (b"version https://git-lfs", 0, "a pointer of Git LFS, whose file was not fetched: git lfs pull"),
    (b"<!DOCTYPE", 0, "a web page"),
    (b"<html", 0, "a web page"),
    (b"\x1f\x8b", 0, "a gzip archive"),
    (b"PK\x03\x04", 0, "a ZIP archive"),
)
"""Other formats that files named like pictures may have."""


def max_pixels() -> int:
    """Return how many pixels a picture or a frame may have. Raises SpecError if the variable is not such a number."""
    text = os.environ.get(LIMIT)
    if not text:
        return MAX_PIXELS
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and 1 <= int(text) <= OPENCV_MAX_PIXELS):
        raise SpecError(f"{LIMIT} is not a number of pixels", got=repr(text), expected=f"1 to {OPENCV_MAX_PIXELS}")
    return int(text)


def stored_size(path: PathLike) -> int:
    """Return the size of a file in bytes. Raises ImageError for anything but a file: reading a pipe would never end."""
    try:
        return require_regular_file(path)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and os.path.islink(path):
            raise ImageError(f"cannot read {path}: it is a link to a missing file") from error
        raise ImageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def require_few_pixels(path: PathLike, height: int, width: int, pixels: int | None = None) -> None:
    """Raise ImageError if a picture, or a frame of a video, has too many pixels."""
    number, most = pixels or height * width, max_pixels()
    if number <= most:
        return
    got = f"{height}x{width} = {number}" if number == height * width else f"{height}x{width}, {number} to decode"
    hint = "use a smaller picture"
    if number <= OPENCV_MAX_PIXELS:
        hint += f", or set {LIMIT}={number} if you trust the file and have the memory"
    raise ImageError(f"{path} has too many pixels", got=got, expected=f"at most {most}", hint=hint)


def stored_picture(path: PathLike) -> StoredPicture:
    """Return the bytes of a picture file, without chunks that would only cost memory, and its claims.

    Raises ImageError for anything but a complete file of a supported format, and for too many pixels.
    """
    size = stored_size(path)
    most = max(SMALL_FILE, BYTES_A_PIXEL * max_pixels())
    if size > most:
        raise ImageError(
            f"{path} is too large for a picture",
            got=f"{size} bytes",
            expected=f"at most {most} bytes",
            hint=f"set {LIMIT} higher if you trust the file and have the memory",
        )
    try:
        data = read_bytes(path)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise no_picture(path, "an empty file")
    read = next((read for start, at, read in _FORMATS if data.startswith(start, at)), None)
    if read is None:
        raise no_picture(path, next((kind for start, at, kind in _OTHERS if data.startswith(start, at)), None))
    try:
        header = read(data)
    except DamagedError as error:
        raise no_picture(path, str(error)) from error
    if min(header.height, header.width) < 1:
        raise no_picture(path, f"a {header.format} of {header.height}x{header.width}")
    require_few_pixels(path, header.height, header.width, header.pixels)
    if header.format == "TIFF":
        try:
            require_whole_pixels(data, header)
        except DamagedError as error:
            raise no_picture(path, str(error)) from error
    return StoredPicture(still_picture(data) if header.format == "PNG" else data, header)


def no_picture(path: PathLike, got: str | None = None) -> ImageError:
    """Return the error to raise for a file that cannot be decoded."""
    return ImageError(f"{path} is not a picture OpenCV can read", got=got, expected=", ".join(IMAGE_SUFFIXES))
