"""The two kernels on the device against their twins on the CPU: bit for bit in float32, rounded once in float16."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rtseg.frame.preprocess import tensor_from_image
from rtseg.frame.tail import labels_from_logits
from rtseg.frame.window import Window
from rtseg.runners.cuda import CudaDriver, Stream, ends
from rtseg.runners.cuda.end_kernels import EndKernels, code_path
from rtseg.specs import ImageSpec

DTYPES = ("float32", "float16")
CLASSES = (2, 11, 19, 256)
GUARD, UNTOUCHED = 256, 0xA5
"""Bytes before and behind each output, which no kernel may touch, and what they hold."""


class Kernels:
    """The kernels as a runner uses them, through one implementation."""

    def __init__(self, cuda: CudaDriver) -> None:
        self.cuda = cuda
        self._kernels = EndKernels(cuda)

    def put(self, launch: ends.Launch, stream: Stream) -> None:
        self._kernels.bound(launch, stream)()


class OnDevice:
    """An array in device memory between two guards, offset items off the address that all vectors are aligned to."""

    def __init__(self, cuda: CudaDriver, stream: Stream, array: np.ndarray, offset: int = 0) -> None:
        self.cuda, self.stream, self.like = cuda, stream, array
        self.begin = GUARD + offset * array.itemsize
        self.host = np.full(self.begin + array.nbytes + GUARD, UNTOUCHED, np.uint8)
        self.host[self.begin : self.begin + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.memory = cuda.allocate(self.host.nbytes)
        cuda.copy_to_device(self.memory, self.host, stream)
        cuda.synchronize(stream)

    @property
    def pointer(self) -> int:
        return self.memory.handle + self.begin

    def back(self) -> np.ndarray:
        """Return what lies there when the stream is done, having looked at the guards."""
        self.cuda.copy_to_host(self.host, self.memory, self.stream)
        self.cuda.synchronize(self.stream)
        end = self.begin + self.like.nbytes
        assert (self.host[: self.begin] == UNTOUCHED).all(), "written before the output"
        assert (self.host[end:] == UNTOUCHED).all(), "written behind the output"
        return self.host[self.begin : end].view(self.like.dtype).reshape(self.like.shape)


@pytest.fixture(scope="module")
def kernels(cuda: CudaDriver) -> Kernels:
    return Kernels(cuda)


def pixels(height: int, width: int, gap: int = 0) -> np.ndarray:
    """Return a random image whose rows have that many pixels of something else between them."""
    rng = np.random.default_rng(height * width + gap)
    return rng.integers(0, 256, (height, width + gap, 3), np.uint8)[:, :width]


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape)


def smooth(shape: tuple[int, int, int]) -> np.ndarray:
    """Large areas of one class with borders between them, as networks give."""
    rows, columns = np.indices(shape[1:]) / max(shape[1:])
    phases = np.random.default_rng(shape[0]).uniform(0, 6, (shape[0], 3, 1, 1))
    return np.sin(phases[:, 0] * rows * 3 + phases[:, 1] * columns * 3 + phases[:, 2])


def tied(shape: tuple[int, int, int]) -> np.ndarray:
    """Ties nearly everywhere, and between numbers that are none."""
    values = np.array([0, 1, 2, 2, np.nan, np.inf, -np.inf])
    return np.random.default_rng(shape[1]).choice(values, shape)


PATTERNS = (noise, smooth, tied)


def same_bits(got: np.ndarray, wanted: np.ndarray) -> bool:
    integer = f"u{wanted.itemsize}"
    return got.dtype == wanted.dtype and np.array_equal(got.view(integer), wanted.view(integer))


def cpu_labels(logits: np.ndarray, size: tuple[int, int], align_corners: bool, **what: Any) -> np.ndarray:
    wide = np.ascontiguousarray(logits, np.float32)
    return labels_from_logits(wide, height=size[0], width=size[1], align_corners=align_corners, **what)


def labels_on(
    kernels: Kernels,
    stream: Stream,
    logits: np.ndarray,
    size: tuple[int, int],
    align_corners: bool,
    *,
    stored: np.ndarray | None = None,
    strides: tuple[int, int, int] | None = None,
    offsets: tuple[int, int] = (0, 0),
    **what: Any,
) -> np.ndarray:
    """Return the label map that the device makes; stored, with its strides, is how the logits lie there."""
    given = OnDevice(kernels.cuda, stream, logits if stored is None else stored, offsets[0])
    labels = OnDevice(kernels.cuda, stream, np.full(size, UNTOUCHED, np.uint8), offsets[1])
    launch = ends.tail(
        *(given.pointer, logits.shape, labels.pointer, size),
        align_corners=align_corners,
        dtype=logits.dtype.name,
        strides=strides,
        **what,
    )
    kernels.put(launch, stream)
    return labels.back()


def test_every_kernel_is_in_the_module(cuda: CudaDriver) -> None:
    module = cuda.load_module(cuda.compile(ends.source(), name=ends.NAME, options=ends.OPTIONS))
    for name in ends.KERNELS:
        cuda.kernel(module, name)


def test_the_machine_code_in_the_cache_is_loaded_again(cuda: CudaDriver, kernels: Kernels) -> None:
    path = code_path(cuda)
    written = path.stat().st_ino
    EndKernels(cuda)
    assert path.stat().st_ino == written


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(33, 65), (64, 128), (300, 40)])
@pytest.mark.parametrize("image", [(1, 1), (33, 65), (72, 131), (135, 240)])
def test_the_front_gives_the_bits_of_its_twin(
    kernels: Kernels, stream: Stream, image: tuple[int, int], size: tuple[int, int], dtype: str
) -> None:
    spec = ImageSpec(*size, "RGB", 1 / 255, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    for colour_order, gap, offset in (("RGB", 0, 0), ("BGR", 1, 1), ("RGB", 4, 2)):
        picture = pixels(*image, gap)
        stored = np.ascontiguousarray(picture.base if gap else picture)
        given = OnDevice(kernels.cuda, stream, stored, offset)
        tensor = OnDevice(kernels.cuda, stream, np.zeros((3, *size), dtype), offset)
        launch = ends.front(
            *(given.pointer, image, tensor.pointer, spec),
            dtype=dtype,
            colour_order=colour_order,
            row_bytes=stored.strides[0],
        )
        kernels.put(launch, stream)
        assert same_bits(tensor.back(), tensor_from_image(picture, spec, colour_order=colour_order).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("grid", "size"),
    [
        ((9, 20), (72, 160)),  # stride 8, several tiles
        ((5, 7), (53, 187)),  # no integer ratio
        ((31, 131), (32, 132)),  # cells of one pixel
        ((1, 4), (150, 400)),  # cells larger than a tile
        ((24, 40), (24, 40)),  # argmax alone
        ((20, 33), (7, 9)),  # a smaller map
        ((20, 9), (7, 90)),  # smaller one way, larger the other
    ],
)
def test_labels_are_those_of_the_twin(
    kernels: Kernels,
    stream: Stream,
    grid: tuple[int, int],
    size: tuple[int, int],
    align_corners: bool,
    dtype: str,
) -> None:
    for classes, pattern in itertools.product(CLASSES, PATTERNS):
        logits = pattern((classes, *grid)).astype(dtype)
        got = labels_on(kernels, stream, logits, size, align_corners)
        assert np.array_equal(got, cpu_labels(logits, size, align_corners)), (classes, pattern.__name__)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(72, 160), (9, 20), (4, 6)])
def test_labels_of_channels_last_logits_are_those_of_the_twin(
    kernels: Kernels, stream: Stream, size: tuple[int, int], dtype: str
) -> None:
    for classes, multiple in itertools.product(CLASSES, (8, 1)):  # HWC8, whose padding must never win, and HWC
        logits = smooth((classes, 9, 20)).astype(dtype)
        padded = -(-classes // multiple) * multiple
        stored = np.full((9, 20, padded), np.inf, dtype)
        stored[..., :classes] = logits.transpose(1, 2, 0)
        strides = ends.channels_last(logits.shape, multiple)
        got = labels_on(kernels, stream, logits, size, False, stored=stored, strides=strides)
        assert np.array_equal(got, cpu_labels(logits, size, False)), (classes, multiple)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(33, 160), (9, 16), (4, 8)])
def test_logits_and_labels_may_lie_anywhere(
    kernels: Kernels, stream: Stream, size: tuple[int, int], dtype: str
) -> None:
    logits = noise((5, 9, 16)).astype(dtype)
    for offsets in ((1, 0), (2, 0), (0, 1), (0, 2), (0, 8)):
        got = labels_on(kernels, stream, logits, size, False, offsets=offsets)
        assert np.array_equal(got, cpu_labels(logits, size, False)), offsets


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("window", [None, Window(72, 160, 9, 0, 55, 160), Window(72, 160, 0, 31, 72, 97)])
def test_masks_and_labels_of_a_window_are_those_of_the_twin(
    kernels: Kernels, stream: Stream, window: Window | None, align_corners: bool, dtype: str
) -> None:
    for size, pattern in itertools.product([(9, 20), (110, 320), (53, 187), (5, 90)], PATTERNS):
        for classes, threshold in ((1, 0.5), (1, 1.0), (19, None)):
            logits, what = pattern((classes, 9, 20)).astype(dtype), {"threshold": threshold, "window": window}
            got = labels_on(kernels, stream, logits, size, align_corners, **what)
            assert np.array_equal(got, cpu_labels(logits, size, align_corners, **what)), (size, pattern, threshold)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("image", [(1, 1), (33, 65), (72, 31), (20, 240)])
def test_a_letterboxed_image_has_the_bits_of_its_twin(
    kernels: Kernels, stream: Stream, image: tuple[int, int], dtype: str
) -> None:
    for size, padding, offset in (((33, 65), 0, 0), ((64, 128), 114, 1), ((64, 130), 255, 2)):
        spec = ImageSpec(*size, fit="letterbox", padding=padding)
        picture = np.ascontiguousarray(pixels(*image))
        given = OnDevice(kernels.cuda, stream, picture, offset)
        tensor = OnDevice(kernels.cuda, stream, np.zeros((3, *size), dtype), offset)
        kernels.put(ends.front(given.pointer, image, tensor.pointer, spec, dtype=dtype), stream)
        assert same_bits(tensor.back(), tensor_from_image(picture, spec).astype(dtype))


@pytest.mark.parametrize("colour_order", ["RGB", "BGR"])
@pytest.mark.parametrize("size", [(16, 17), (33, 128), (19, 260)])
def test_the_overlay_is_the_image_with_the_colours_laid_over_it(
    kernels: Kernels, stream: Stream, size: tuple[int, int], colour_order: str
) -> None:
    rng = np.random.default_rng(0)
    palette, labels = rng.integers(0, 256, (256, 3), np.uint8), rng.integers(0, 256, size, np.uint8)
    picture = np.ascontiguousarray(pixels(*size))
    on_device = [OnDevice(kernels.cuda, stream, array) for array in (picture, labels, palette, np.zeros_like(picture))]
    image, given, colours, out = on_device
    rgb = picture if colour_order == "RGB" else picture[..., ::-1]
    for opacity in (0.0, 0.5, 0.75, 1.0):
        launch = ends.overlay(
            *(image.pointer, size, given.pointer, colours.pointer, out.pointer),
            opacity=opacity,
            colour_order=colour_order,
        )
        kernels.put(launch, stream)
        wanted = np.rint(rgb * (1 - opacity) + palette[labels].astype(np.float32) * opacity).astype(np.uint8)
        assert np.array_equal(out.back(), wanted), opacity


def test_both_ends_captured_in_one_graph_do_the_same_at_every_launch(kernels: Kernels, stream: Stream) -> None:
    """The tensor serves as logits of three classes: between the two ends a network would stand."""
    cuda, spec, size = kernels.cuda, ImageSpec(24, 40), (96, 160)
    if not cuda.captures:
        pytest.skip("it captures no graphs")
    arrays = (np.zeros((72, 120, 3), np.uint8), np.zeros((3, 24, 40), np.float32), np.zeros(size, np.uint8))
    image, tensor, labels = (OnDevice(cuda, stream, array) for array in arrays)
    picture = cuda.pinned((72, 120, 3), np.uint8)
    front = ends.front(image.pointer, (72, 120), tensor.pointer, spec)
    tail = ends.tail(tensor.pointer, (3, 24, 40), labels.pointer, size, align_corners=False)

    def frame() -> None:
        cuda.copy_to_device(image.pointer, picture, stream)
        for launch in (front, tail):
            kernels.put(launch, stream)

    graph = cuda.capture(stream, frame)
    for turn in range(3):
        picture[...] = np.random.default_rng(turn).integers(0, 256, picture.shape)
        cuda.launch_graph(graph, stream)
        assert np.array_equal(labels.back(), cpu_labels(tensor_from_image(picture, spec), size, False))


def test_several_streams_work_at_once_and_none_disturbs_another(kernels: Kernels) -> None:
    cuda, size = kernels.cuda, (256, 512)
    streams = [cuda.create_stream() for _ in range(4)]
    logits = [noise((11, 32, 64)).astype(np.float32) + np.float32(turn) for turn in range(4)]
    for turn, array in enumerate(logits):
        array[turn] += 1
    given = [OnDevice(cuda, stream, array) for stream, array in zip(streams, logits)]
    labels = [OnDevice(cuda, stream, np.zeros(size, np.uint8)) for stream in streams]
    launches = [
        ends.tail(source.pointer, (11, 32, 64), target.pointer, size, align_corners=False)
        for source, target in zip(given, labels)
    ]
    for _ in range(10):
        for launch, stream in zip(launches, streams):
            kernels.put(launch, stream)
    for target, array in zip(labels, logits):
        assert np.array_equal(target.back(), cpu_labels(array, size, False))
