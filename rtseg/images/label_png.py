"""Label maps as indexed PNGs."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from rtseg.artifacts.files import PathLike, written_atomically
from rtseg.errors import ImageError
from rtseg.frame.palette import colour_table
from rtseg.images.decoding import decoded, memory_for
from rtseg.images.png_chunks import COLOUR, PALETTE, indices_as_grey, png_facts
from rtseg.images.stored import stored_picture
from rtseg.specs import ClassSpec, Colour

Pixels = NDArray[np.uint8]

_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def write_label_png(path: PathLike, labels: Pixels, classes: ClassSpec) -> None:
    """Write an indexed PNG: each pixel holds its class index, the palette holds the class colours.

    Programs that read indices get the label map, viewers show the colours. Raises WriteError.
    """
    picture = PillowImage.fromarray(labels, mode="P")
    picture.putpalette(colour_table(classes).tobytes())
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG")
    with written_atomically(path) as part:
        part.write_bytes(encoded.getvalue())


@dataclass(frozen=True)
class StoredLabels:
    """The content of a label file: values as stored, and the palette for viewing, empty without one.

    values are uint8 or uint16 (height, width), or RGB (height, width, 3), which is not a label map.
    """

    values: NDArray[Any]
    palette: tuple[Colour, ...]

    @property
    def is_label_map(self) -> bool:
        """Whether the values may be class indices: one channel of 8 bits."""
        return self.values.ndim == 2 and self.values.dtype == np.uint8


def read_stored_labels(path: PathLike) -> StoredLabels:
    """Return the values of a PNG as stored: its indices if it has a palette. Raises ImageError for other files.

    Transparency is ignored, and so is an EXIF rotation. Values of fewer than 8 bits stay as they are, although decoding
    them as a picture would scale them to full brightness.
    """
    with memory_for(path):
        return _read(path)


def _read(path: PathLike) -> StoredLabels:
    data, header = stored_picture(path)
    if header.format != "PNG":
        raise ImageError(f"{path} is not a PNG", got=f"a {header.format}", expected="class indices in a PNG")
    _, colour_type, palette = png_facts(data)
    if colour_type & COLOUR and colour_type != PALETTE:
        return StoredLabels(decoded(path, data, _AS_STORED | cv2.IMREAD_COLOR), ())
    if colour_type not in (0, PALETTE):
        return StoredLabels(decoded(path, data, _AS_STORED | cv2.IMREAD_GRAYSCALE), ())
    values = decoded(path, indices_as_grey(data), cv2.IMREAD_UNCHANGED)
    if header.bits < 8:
        values //= 255 // ((1 << header.bits) - 1)
    colours = np.frombuffer(palette[: len(palette) // 3 * 3], np.uint8).reshape(-1, 3) if colour_type == PALETTE else ()
    return StoredLabels(values, tuple((int(red), int(green), int(blue)) for red, green, blue in colours))


def read_label_png(path: PathLike) -> Pixels:
    """Return the class indices of an indexed or grey 8-bit PNG, uint8 (height, width), whatever its palette.

    Raises ImageError for other files, including colours: no file says which classes they stand for.
    """
    stored = read_stored_labels(path)
    if not stored.is_label_map:
        raise not_a_label_map(path, stored, "the original files, not colours made of them")
    return stored.values.astype(np.uint8, copy=False)


def not_a_label_map(path: PathLike, stored: StoredLabels, hint: str) -> ImageError:
    """Return the error to raise for a file whose values are not class indices."""
    kind = "colours" if stored.values.ndim == 3 else "one channel"
    return ImageError(
        f"{path} is not a label map",
        got=f"{kind} of {stored.values.dtype.itemsize * 8} bits",
        expected="class indices, as a palette PNG or one 8-bit channel",
        hint=hint,
    )
