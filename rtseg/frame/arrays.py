"""Arrays of other libraries: images and label maps in host memory, used without a copy."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import ImageError, SpecError
from rtseg.frame.tail import require_label_map

Pixels = NDArray[np.uint8]

HOST_DEVICES = (1, 3, 11)
"""DLPack's numbers for memory that the host reads: host memory, and memory page-locked by CUDA and ROCm."""


class SupportsDlpack(Protocol):
    """A tensor of torch, JAX, CuPy and others."""

    def __dlpack__(self, *, stream: Any = None) -> Any: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


class SupportsArray(Protocol):
    """Anything NumPy can make an array of: tensors, images of newer Pillow releases."""

    def __array__(self) -> NDArray[Any]: ...


ImageLike = Union[Pixels, SupportsDlpack, SupportsArray]
"""uint8 RGB (height, width, 3), in host memory."""

Buffer = TypeVar("Buffer")


def host_image(image: object) -> Pixels:
    """Return an image as a NumPy array on the same memory, without checking that it is an image.

    image is an array, or an object with __array__, __array_interface__ or __dlpack__. Raises ImageError for anything
    else, and for an array on a device.
    """
    if isinstance(image, np.ndarray):
        return image
    kind = type(image).__name__
    if not _is_array(image):
        raise ImageError(
            "not an image", got=kind, expected="uint8 (height, width, 3): a NumPy array, or an object with __dlpack__"
        )
    try:
        device = _device_of(image)
        if device in HOST_DEVICES:
            return _seen(image)
    except Exception as error:  # each library raises its own
        raise ImageError(
            f"NumPy cannot read the image: {error}", got=kind, expected="an array in host memory"
        ) from error
    raise ImageError(
        "the image is not in host memory",
        got=f"{kind} on DLPack's device {device}",
        expected="an array on the CPU",
        hint="use segmenter.bind_device with an engine, or pass tensor.cpu()",
    )


def host_labels(out: object, height: int, width: int) -> Pixels:
    """Return the caller's buffer for a label map as a NumPy array on the same memory.

    Raises SpecError unless it is uint8 (height, width), C-contiguous, writeable and in host memory.
    """
    seen = out
    if not isinstance(out, np.ndarray):
        try:
            seen = host_image(out)
        except ImageError as error:
            raise SpecError(f"out cannot hold the label map: {error}", expected=f"uint8 ({height}, {width})") from error
        if not np.may_share_memory(seen, _seen(out)):  # each call makes a new copy, so the caller would see no labels
            raise SpecError("out cannot hold the label map", got=f"{type(out).__name__}, which NumPy copies")
    assert isinstance(seen, np.ndarray)
    require_label_map(seen, height, width)
    return seen


def _is_array(value: object) -> bool:
    return any(hasattr(value, name) for name in ("__array__", "__array_interface__", "__dlpack__"))


def _device_of(value: Any) -> int:
    """Return DLPack's number for the kind of device of an array; an array that does not say is taken as on the host."""
    return int(value.__dlpack_device__()[0]) if hasattr(value, "__dlpack_device__") else HOST_DEVICES[0]


def _seen(value: Any) -> NDArray[Any]:
    """Return a NumPy array on an array's memory. Through DLPack, NumPy may see it as read-only."""
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return np.asarray(value)
    return np.from_dlpack(value)
