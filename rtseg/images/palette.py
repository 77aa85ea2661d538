"""Label maps made visible: indexed PNGs and overlays."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from rtseg.artifacts import PathLike, written_atomically
from rtseg.specs import ClassSpec

Pixels = NDArray[np.uint8]

IGNORED_COLOUR = (0, 0, 0)


def colour_table(classes: ClassSpec) -> Pixels:
    """Return the colours of all 256 label values, uint8 (256, 3), RGB."""
    table = np.empty((256, 3), np.uint8)
    table[:] = IGNORED_COLOUR
    table[: len(classes)] = classes.palette
    return table


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


def read_label_png(path: PathLike) -> Pixels:
    """Return the class indices of an indexed or grey PNG, uint8 (height, width)."""
    with PillowImage.open(path) as picture:
        return np.array(picture, np.uint8)


def overlay(image: Pixels, labels: Pixels, classes: ClassSpec, *, opacity: float = 0.5) -> Pixels:
    """Return the uint8 RGB image with each class's colour laid over it."""
    colours = colour_table(classes)[labels].astype(np.float32)
    return np.rint(image * (1 - opacity) + colours * opacity).astype(np.uint8)
