"""The segmenter inside somebody's program: tensors in, the caller's buffer out, many tasks of asyncio at once."""

from __future__ import annotations

import asyncio
import ctypes
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from rtseg.errors import ImageError, SpecError
from rtseg.frame import native_library
from rtseg.frame.segmenter import Segmenter
from rtseg.runners.loading import load

RUNNERS = ["onnxruntime", pytest.param("openvino", marks=pytest.mark.skipif(not find_spec("openvino"), reason="none"))]
SIZES = [(64, 64), (50, 70), (33, 90)]


@pytest.fixture(params=RUNNERS)
def segmenter(request: pytest.FixtureRequest, affnet_file: Path) -> Segmenter:
    return load(affnet_file, runner=request.param, threads=1)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_the_callers_buffer_is_filled_and_returned(segmenter: Segmenter, size: tuple[int, int]) -> None:
    image, buffer = picture(*size), np.full(size, 99, np.uint8)
    assert segmenter(image, out=buffer) is buffer
    np.testing.assert_array_equal(buffer, segmenter(image))


def test_tensors_of_torch_come_and_go_without_copies(segmenter: Segmenter) -> None:
    image = picture(50, 70)
    buffer = torch.full((50, 70), 99, dtype=torch.uint8)
    assert segmenter(torch.from_numpy(image), out=buffer) is buffer
    np.testing.assert_array_equal(buffer.numpy(), segmenter(image))


def test_a_tensor_with_channels_first_is_labelled_once_it_is_turned(segmenter: Segmenter) -> None:
    image = picture(50, 70)
    first = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    with pytest.raises(ImageError, match=r"got uint8 \(3, 50, 70\); expected uint8 \(height, width, 3\)"):
        segmenter(first)
    np.testing.assert_array_equal(segmenter(first.permute(1, 2, 0)), segmenter(image))


def test_every_way_to_give_an_image_takes_a_tensor(segmenter: Segmenter) -> None:
    image = picture(50, 70)
    tensor = torch.from_numpy(image)
    np.testing.assert_array_equal(segmenter.tensor(tensor), segmenter.tensor(image))
    np.testing.assert_array_equal(segmenter.with_overlay(tensor)[1], segmenter.with_overlay(image)[1])
    np.testing.assert_array_equal(segmenter.bind(tensor).labels, segmenter(image))


def test_a_buffer_of_another_size_is_refused_and_left_alone(segmenter: Segmenter) -> None:
    buffer = np.full((50, 71), 99, np.uint8)
    with pytest.raises(
        SpecError, match=r"out cannot hold the label map; got uint8 \(50, 71\); expected uint8 \(50, 70"
    ):
        segmenter(picture(50, 70), out=buffer)
    assert (buffer == 99).all()


def test_what_is_no_image_is_refused_before_the_buffer_is_looked_at(segmenter: Segmenter) -> None:
    with pytest.raises(ImageError, match=r"got float32 \(50, 70, 3\)"):
        segmenter(torch.zeros(50, 70, 3), out=None)
    with pytest.raises(ImageError, match=r"got uint8 \(50, 70\)"):
        segmenter(np.zeros((50, 70), np.uint8), out=np.zeros((50, 70), np.uint8))


def test_many_tasks_of_asyncio_get_the_labels_of_one_while_the_loop_goes_on(segmenter: Segmenter) -> None:
    images = [picture(*size) for size in SIZES]
    expected = [segmenter(image) for image in images]

    async def labelled(number: int) -> bool:
        buffer = np.empty(SIZES[number % 3], np.uint8)
        labels = await asyncio.to_thread(segmenter, images[number % 3], out=buffer)
        return labels is buffer and np.array_equal(labels, expected[number % 3])

    async def program() -> tuple[list[bool], int]:
        ticks, pending = 0, asyncio.gather(*map(labelled, range(48)))
        while not pending.done():
            ticks += 1
            await asyncio.sleep(0)
        return await pending, ticks

    right, ticks = asyncio.run(program())
    assert all(right)
    assert ticks > len(right)


def test_the_core_is_called_without_the_interpreters_lock() -> None:
    library = native_library.core()
    if library is None:
        pytest.skip("the C++ core is not built")
    assert isinstance(library, ctypes.CDLL) and not isinstance(library, ctypes.PyDLL)
