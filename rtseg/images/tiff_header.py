"""The claims of a TIFF about its first picture, which is the one that is read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rtseg.images.headers import DamagedError, Header, require_room, unpacked

Integers = NDArray[np.int64]

_TYPES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
"""Field types of non-negative integers, as NumPy names them."""

_WIDTH, _HEIGHT, _BITS, _SAMPLES, _SAMPLE_FORMAT = 256, 257, 258, 277, 339
_COMPRESSION, _DEFLATED = 259, (8, 32946)
_STRIPS, _TILES, _TILE_SIDES = (273, 279), (324, 325), (322, 323)
_READ = {_WIDTH, _HEIGHT, _BITS, _SAMPLES, _SAMPLE_FORMAT, _COMPRESSION, *_STRIPS, *_TILES, *_TILE_SIDES}
_MOST_FIELDS = 65535
"""Valid in a TIFF, and more than any BigTIFF needs."""
_NUMBERS = {1: "unsigned", 2: "signed", 3: "floating-point"}


def tiff_header(data: bytes) -> Header:
    """Return the claims of a TIFF or BigTIFF; each strip or tile must be inside the file. Raises DamagedError."""
    fields = _fields(data)
    width, height = (_one(fields, tag, 0) for tag in (_WIDTH, _HEIGHT))
    bits, samples = _one(fields, _BITS, 1), _one(fields, _SAMPLES, 1)
    for start, length in _parts(fields):
        require_room(data, start, length, "a strip or tile")
    tile = _one(fields, _TILE_SIDES[0], 0) * _one(fields, _TILE_SIDES[1], 0)
    numbers = _NUMBERS.get(_one(fields, _SAMPLE_FORMAT, 1), "other")
    block = max(tile, height * width) * max(1, samples // 4)  # if there are more than four samples, all are decoded
    # OpenCV itself scales samples packed in 10 to 14 bits to 16.
    return Header("TIFF", height, width, bits, 255 if bits <= 8 else 65535, block, numbers)


def deflated_parts(data: bytes) -> Iterator[memoryview]:
    """Yield the content of each deflated strip or tile of a TIFF, nothing if not deflated. Raises DamagedError."""
    fields = _fields(data)
    if _one(fields, _COMPRESSION, 1) in _DEFLATED:
        for start, length in _parts(fields):
            yield memoryview(data)[start : start + length]


def _parts(fields: dict[int, Integers]) -> Iterator[tuple[int, int]]:
    """Yield where each strip or tile begins, and its length."""
    for starts, lengths in (_STRIPS, _TILES):
        for start, length in zip(*(fields.get(tag, np.empty(0, np.int64)) for tag in (starts, lengths))):
            yield int(start), int(length)


def _one(fields: dict[int, Integers], tag: int, otherwise: int) -> int:
    values = fields.get(tag)
    return otherwise if values is None or not values.size else int(values[0])


def _fields(data: bytes) -> dict[int, Integers]:
    """Return the fields of the first directory that are needed here."""
    order = "<" if data[:2] == b"II" else ">"
    (version,) = unpacked(data, order + "H", 2, "the header")
    if version not in (42, 43):
        raise DamagedError(f"a TIFF of version {version}")
    word, count, at = ("I", "H", 4) if version == 42 else ("Q", "Q", 8)
    width = 4 if version == 42 else 8
    (at,) = unpacked(data, order + word, at, "the header")
    (number,) = unpacked(data, order + count, at, "the directory")
    at += 2 if version == 42 else 8
    entry = 4 + 2 * width
    require_room(data, at, number * entry, "the directory")
    if number > _MOST_FIELDS:
        raise DamagedError(f"a directory of {number} fields")
    fields = {}
    for place in range(at, at + number * entry, entry):
        tag, kind, values = unpacked(data, f"{order}HH{word}", place, "a field")
        if tag not in _READ or kind not in _TYPES:
            continue
        dtype = np.dtype(order + _TYPES[kind])
        start, size = place + 4 + width, values * dtype.itemsize
        if size > width:
            (start,) = unpacked(data, order + word, start, "a field")
        require_room(data, start, size, f"the field {tag}")
        fields[tag] = np.frombuffer(data, dtype, values, start).astype(np.int64)
    return fields
