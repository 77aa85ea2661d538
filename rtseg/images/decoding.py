"""OpenCV's decoders and converters; their refusals and lack of memory become rtseg's errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.files import PathLike
from rtseg.errors import ImageError
from rtseg.images.stored import no_picture


def decoded(path: PathLike, data: bytes, flags: int) -> NDArray[Any]:
    """Return the picture that OpenCV decodes from the bytes, colour as RGB. Raises ImageError and MemoryError."""
    with memory_errors():
        try:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:  # OpenCV refuses some headers by raising instead of returning None
            if lacks_memory(error):
                raise
            raise no_picture(path) from error
        if picture is None:
            raise no_picture(path)
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if picture.ndim == 3 else picture


@contextlib.contextmanager
def memory_for(path: PathLike) -> Iterator[None]:
    """Turn MemoryError into ImageError: only the one file that is being read needs that much."""
    try:
        yield
    except MemoryError as error:
        raise ImageError(f"there is not enough memory to read {path}", hint="use a smaller picture") from error


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn OpenCV's exception for lack of memory into MemoryError."""
    try:
        yield
    except cv2.error as error:
        if lacks_memory(error):
            raise MemoryError(str(error)) from error
        raise


def lacks_memory(error: cv2.error) -> bool:
    """Return whether OpenCV reports a lack of memory. The message says so; the code may be that of an earlier error."""
    return "Insufficient memory" in str(error) or "bad_alloc" in str(error)
