"""Class colours, and overlays of label maps on their images. Needs only NumPy, as it runs on the deployment target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import SpecError
from rtseg.specs import ClassSpec

Pixels = NDArray[np.uint8]

IGNORED_COLOUR = (0, 0, 0)

OPACITY = 0.5
"""The default opacity of the colours over an image."""


def colour_table(classes: ClassSpec) -> Pixels:
    """Return the colours of all 256 label values, uint8 (256, 3), RGB."""
    table = np.empty((256, 3), np.uint8)
    table[:] = IGNORED_COLOUR
    table[: len(classes)] = classes.palette
    return table


def overlay(
    image: Pixels, labels: Pixels, classes: ClassSpec, *, opacity: float = OPACITY, out: Pixels | None = None
) -> Pixels:
    """Return the uint8 RGB (height, width, 3) image with each class's colour blended over it.

    opacity is from 0 (the image) to 1 (the colours). If out, of the image's type and shape, is given, it is filled and
    returned instead of a new array. Raises SpecError for an opacity out of range.
    """
    require_opacity(opacity)
    colours = colour_table(classes)[labels].astype(np.float32)
    blended = image * (1 - opacity) + colours * opacity
    result = np.empty(image.shape, np.uint8) if out is None else out
    np.rint(blended, out=result, casting="unsafe")
    return result


def require_opacity(opacity: float) -> None:
    """Raise SpecError unless the opacity is from 0 to 1."""
    if not 0 <= opacity <= 1:
        raise SpecError("the opacity is out of range", got=opacity, expected="0 to 1")
