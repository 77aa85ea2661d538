"""Label maps as indexed PNGs."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from rtseg.artifacts.files import PathLike, written_atomically
from rtseg.errors import ImageError
from rtseg.frame.palette import colour_table
from rtseg.specs import ClassSpec

Pixels = NDArray[np.uint8]


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
    """Return the class indices of an indexed or grey 8-bit PNG, uint8 (height, width), whatever its palette.

    Raises ImageError for other files, colours among them: what they stand for is in no file.
    """
    try:
        content = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    try:
        with PillowImage.open(content, formats=("PNG",)) as picture:
            mode, labels = picture.mode, np.array(picture)
    except (OSError, SyntaxError, ValueError, struct.error, PillowImage.DecompressionBombError) as error:
        raise ImageError(f"{path} is not a PNG, or only a part of one") from error
    if mode not in ("P", "L"):
        raise ImageError(
            f"{path} is not a label map",
            got=f"a PNG of mode {mode}",
            expected="class indices, as a palette PNG or one 8-bit channel",
            hint="the original files, not colours made of them",
        )
    return labels.astype(np.uint8, copy=False)
