"""Pictures on disk, read and written with OpenCV; always uint8, colour as RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.files import PathLike, written_atomically
from rtseg.errors import ImageError

Pixels = NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


def read_image(path: PathLike) -> Pixels:
    """Return the picture as uint8 (height, width, 3), RGB. Raises ImageError."""
    decoded = _decode(path, cv2.IMREAD_COLOR)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_label_map(path: PathLike) -> Pixels:
    """Return a single-channel 8-bit picture as it is stored, uint8 (height, width). Raises ImageError.

    A palette PNG cannot be read so: OpenCV turns its indices into colours, so it is refused.
    """
    labels = _decode(path, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ImageError(
            f"{path} is not a label map",
            got=f"{labels.dtype} {labels.shape}",
            expected="one 8-bit channel of class indices",
        )
    return labels


def write_image(path: PathLike, image: Pixels) -> None:
    """Write uint8 RGB (height, width, 3) or grey (height, width); the suffix names the format."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, encoded = cv2.imencode(Path(path).suffix, stored)
    if not done:
        raise ImageError(f"cannot encode {path}", got=f"{image.dtype} {image.shape}")
    with written_atomically(path) as part:
        part.write_bytes(encoded.tobytes())


def _decode(path: PathLike, flags: int) -> NDArray[Any]:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    try:
        decoded = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:  # OpenCV refuses some headers (absurd sizes) by raising instead of returning None
        decoded = None
    if decoded is None:
        raise ImageError(f"{path} is not a picture OpenCV can read", expected=", ".join(IMAGE_SUFFIXES))
    return decoded


def resize_image(image: Pixels, height: int, width: int) -> Pixels:
    """Return a uint8 picture resized bilinearly to height x width, as OpenCV does it (for training)."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
