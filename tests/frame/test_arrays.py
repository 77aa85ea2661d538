"""Images and label maps of other libraries: the same memory, or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rtseg.errors import ImageError, SpecError
from rtseg.frame.arrays import host_image, host_labels


class Exporter:
    """An array that is seen by DLPack alone."""

    def __init__(self, array: np.ndarray, device: int = 1) -> None:
        self._array, self._device = array, device

    def __dlpack__(self, **settings: Any) -> Any:
        return self._array.__dlpack__(**settings)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device, 0


class Copying:
    """An array of which NumPy gets a copy each time."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._array.copy()


def test_a_numpy_array_is_itself() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    assert host_image(image) is image


def test_a_tensor_of_torch_is_seen_in_its_own_memory() -> None:
    tensor = torch.arange(18, dtype=torch.uint8).reshape(2, 3, 3)
    seen = host_image(tensor)
    tensor[1, 2, 0] = 99
    assert seen[1, 2, 0] == 99


def test_a_tensor_turned_from_channels_first_is_seen_with_its_gaps() -> None:
    tensor = torch.arange(18, dtype=torch.uint8).reshape(3, 2, 3).permute(1, 2, 0)
    seen = host_image(tensor)
    assert seen.ctypes.data == tensor.data_ptr()
    np.testing.assert_array_equal(seen, tensor.numpy())


def test_what_has_dlpack_alone_is_seen_in_its_own_memory() -> None:
    array = np.zeros((2, 3, 3), np.uint8)
    assert np.shares_memory(host_image(Exporter(array)), array)


def test_a_picture_of_pillow_is_an_image() -> None:
    array = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    np.testing.assert_array_equal(host_image(Image.fromarray(array)), array)


def test_an_array_on_a_gpu_is_refused_with_the_way_to_bind_it() -> None:
    with pytest.raises(ImageError, match=r"not in host memory; got Exporter on DLPack's device 2; .*bind_device"):
        host_image(Exporter(np.zeros((2, 3, 3), np.uint8), device=2))


@pytest.mark.parametrize(
    "image", [None, "picture.png", [[[1, 2, 3]]], b"\0\0\0"], ids=lambda value: type(value).__name__
)
def test_what_is_no_array_is_refused(image: object) -> None:
    with pytest.raises(ImageError, match=rf"not an image; got {type(image).__name__}; expected uint8"):
        host_image(image)


@pytest.mark.parametrize("tensor", [torch.zeros(2, 3, 3, requires_grad=True), torch.zeros(2, 3, 3, device="meta")])
def test_what_its_own_library_does_not_show_is_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(ImageError, match=r"NumPy cannot read the image: .*; got Tensor"):
        host_image(tensor)


def test_a_buffer_of_torch_is_written_through() -> None:
    buffer = torch.zeros(4, 5, dtype=torch.uint8)
    host_labels(buffer, 4, 5)[...] = 7
    assert bool((buffer == 7).all())


@pytest.mark.parametrize(
    ("buffer", "told"),
    [
        (np.zeros((4, 6), np.uint8), r"got uint8 \(4, 6\); expected uint8 \(4, 5\)"),
        (np.zeros((4, 5), np.int64), r"got int64 \(4, 5\)"),
        (torch.zeros(4, 5), r"got float32 \(4, 5\)"),
        (np.zeros((4, 10), np.uint8)[:, ::2], "a view with gaps, or read-only"),
        (np.broadcast_to(np.uint8(0), (4, 5)), "a view with gaps, or read-only"),
        ([0] * 20, "got list"),
        (Copying(np.zeros((4, 5), np.uint8)), "got Copying, which NumPy copies"),
        (Exporter(np.zeros((4, 5), np.uint8), device=2), "not in host memory"),
    ],
    ids=["shape", "type", "float tensor", "gaps", "read-only", "list", "copy", "device"],
)
def test_a_buffer_that_cannot_hold_the_labels_is_refused(buffer: object, told: str) -> None:
    with pytest.raises(SpecError, match=rf"out cannot hold the label map.*{told}"):
        host_labels(buffer, 4, 5)
