"""The GPU's kernels, run on the CPU: the same source, compiled as C++, gives the bits that the C++ core gives.

gpu_on_cpu.h emulates blocks, warps and barriers. What only a GPU can show, `pytest -m gpu` shows elsewhere.
"""

from __future__ import annotations

import ctypes
import dataclasses
import mmap
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rtseg
from rtseg.errors import SpecError
from rtseg.frame.bilinear import MAX_SIDE, Axis, Part
from rtseg.frame.palette import colour_table
from rtseg.frame.palette import overlay as overlay_of
from rtseg.frame.preprocess import tensor_from_image
from rtseg.frame.tail import labels_from_logits
from rtseg.frame.window import Window
from rtseg.runners.cuda import ends
from rtseg.specs import ClassSpec, ImageSpec
from tests.native.kernels_on_cpu import KernelsOnCpu, compile_kernels
from tests.toml_files import read_toml

NATIVE = Path(rtseg.__file__).parent / "native"
GUARD = 64
"""Bytes before and after each output, that no kernel may touch."""

DTYPES = ("float32", "float16")


@pytest.fixture
def gpu(kernels_on_cpu: KernelsOnCpu) -> KernelsOnCpu:
    return kernels_on_cpu


class AtTheEnd:
    """A copy of an array; `before` bytes behind it begins memory that may not be read."""

    def __init__(self, array: np.ndarray, before: int = 0) -> None:
        page = mmap.PAGESIZE
        room = -(-(array.nbytes + before) // page) * page
        self._memory = mmap.mmap(-1, room + page)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        assert libc.mprotect(begin + room, page, 0) == 0
        self.array = np.frombuffer(self._memory, array.dtype, array.size, room - before - array.nbytes)
        self.array = self.array.reshape(array.shape)
        self.array[...] = array


class Output:
    """An array on the emulated device, offset elements off an address that all vectors would be aligned to."""

    def __init__(self, shape: tuple[int, ...], dtype: str, offset: int = 0) -> None:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.memory = np.full(size + 2 * GUARD + 64, 0xA5, np.uint8)
        self.begin = GUARD + -(self.memory.ctypes.data + GUARD) % 16 + offset * np.dtype(dtype).itemsize
        self.end = self.begin + size
        self.array = self.memory[self.begin : self.end].view(dtype).reshape(shape)

    @property
    def pointer(self) -> int:
        return self.array.ctypes.data

    def checked(self) -> np.ndarray:
        assert (self.memory[: self.begin] == 0xA5).all(), "written before the output"
        assert (self.memory[self.end :] == 0xA5).all(), "written after the output"
        return self.array


def on_device(array: np.ndarray, offset: int = 0) -> Output:
    output = Output(array.shape, array.dtype.name, offset)
    output.array[...] = array
    return output


def gpu_labels(
    gpu: KernelsOnCpu,
    logits: np.ndarray,
    size: tuple[int, int],
    align_corners: bool,
    *,
    seed: int = 0,
    offsets: tuple[int, int] = (0, 0),
    kernel: str | None = None,
    **what: Any,
) -> np.ndarray:
    given, labels = on_device(logits, offsets[0]), Output(size, "uint8", offsets[1])
    launch = ends.tail(
        *(given.pointer, logits.shape, labels.pointer, size),
        align_corners=align_corners,
        dtype=logits.dtype.name,
        **what,
    )
    assert kernel is None or kernel in launch.kernel
    gpu.run(launch, seed)
    return labels.checked()


def core_labels(logits: np.ndarray, size: tuple[int, int], align_corners: bool, **what: Any) -> np.ndarray:
    wide = np.ascontiguousarray(logits, np.float32)
    return labels_from_logits(wide, height=size[0], width=size[1], align_corners=align_corners, **what)


def gpu_tensor(
    gpu: KernelsOnCpu,
    image: np.ndarray,
    spec: ImageSpec,
    dtype: str = "float32",
    *,
    offset: int = 0,
    colour_order: str = "RGB",
) -> np.ndarray:
    tensor = Output((3, spec.height, spec.width), dtype, offset)
    launch = ends.front(
        *(image.ctypes.data, image.shape[:2], tensor.pointer, spec),
        dtype=dtype,
        colour_order=colour_order,
        row_bytes=image.strides[0],
    )
    gpu.run(launch)
    return tensor.checked()


def assert_same_bits(got: np.ndarray, wanted: np.ndarray) -> None:
    integer = f"u{wanted.itemsize}"
    np.testing.assert_array_equal(got.view(integer), np.ascontiguousarray(wanted).view(integer))


def noise(classes: int, h: int, w: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(classes * h + w).standard_normal((classes, h, w)).astype(dtype)


def smooth(classes: int, h: int, w: int, dtype: str = "float32") -> np.ndarray:
    """Large areas of one class with borders between them, as networks give."""
    rows, columns = np.indices((h, w)) / max(h, w)
    phases = np.random.default_rng(classes).uniform(0, 6, (classes, 3, 1, 1))
    return np.sin(phases[:, 0] * rows * 3 + phases[:, 1] * columns * 3 + phases[:, 2]).astype(dtype)


def few_values(classes: int, h: int, w: int, dtype: str = "float32") -> np.ndarray:
    """Ties nearly everywhere."""
    return np.random.default_rng(h * w).integers(0, 3, (classes, h, w)).astype(dtype)


def nearly_tied(classes: int, h: int, w: int, dtype: str = "float32") -> np.ndarray:
    steps = np.random.default_rng(h + w).integers(-3, 4, (classes, h, w))
    return (1 + steps * (2.0**-23 if dtype == "float32" else 2.0**-10)).astype(dtype)


PATTERNS = [noise, smooth, few_values, nearly_tied]

emulated = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_every_float16_is_read_as_numpy_reads_it(gpu: KernelsOnCpu) -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    got = np.array([gpu.library.to_float(int(bits)) for bits in every], np.float32)
    np.testing.assert_array_equal(got, every.view(np.float16).astype(np.float32))


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_float32_is_rounded_to_float16_as_numpy_rounds_it(gpu: KernelsOnCpu) -> None:
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    between = ((halves[1:] + halves[:-1]) / 2).astype(np.float32)
    some = np.random.default_rng(0).choice(between, 4000)
    values = np.concatenate(
        [
            *(some, np.nextafter(some, np.float32(0)), np.nextafter(some, np.float32(1e9)), -some),
            np.array([0.0, -0.0, 65519.996, 65520, 1e30, np.inf, 2.0**-25, 2.0**-24, 1e-30], np.float32),
        ]
    )
    got = np.array([gpu.library.to_half(float(value)) for value in values], np.uint16)
    np.testing.assert_array_equal(got, values.astype(np.float16).view(np.uint16))


def test_python_knows_the_kernels_their_tiles_and_their_parameters(gpu: KernelsOnCpu) -> None:
    arguments = {
        "front": ends.FrontArguments,
        "letterbox": ends.LetterboxArguments,
        "tail": ends.TailArguments,
        "mask": ends.MaskArguments,
        "overlay": ends.OverlayArguments,
    }
    described = [line.split() for line in gpu.library.describe().decode().splitlines()]
    assert sorted(name for name, *_ in described) == sorted(ends.KERNELS)
    for name, width, height, *types in described:
        work = name.removeprefix("rtseg_").removesuffix("_f32").removesuffix("_f16")
        assert ends.TILES[work] == (int(width), int(height))
        fields = dataclasses.fields(arguments[work.partition("_")[0]])
        assert [field.metadata["kind"].__name__ for field in fields] == types


FRONT = r"define RTSEG_FRONT_ARGUMENTS\(T\)(.*?)//"
TAIL = r"define RTSEG_TAIL_ARGUMENTS\(T\)(.*?)#"
MASK = r"RTSEG_KERNEL\(mask_##suffix\)\(RTSEG_TAIL_ARGUMENTS\(T\), (.*?)\)"


@pytest.mark.parametrize(
    ("arguments", "declared"),
    [
        (ends.FrontArguments, FRONT),
        (ends.LetterboxArguments, f"{FRONT}.*?define RTSEG_WINDOW_ARGUMENTS (.*?)\n"),
        (ends.TailArguments, TAIL),
        (ends.MaskArguments, f"{TAIL}.*?{MASK}"),
        (ends.OverlayArguments, r"RTSEG_KERNEL\(overlay\)\s*\((.*?)\)"),
    ],
)
def test_python_names_the_parameters_as_the_source_does(arguments: type, declared: str) -> None:
    found = re.search(declared, ends.source(), re.DOTALL)
    assert found
    names = [re.findall(r"\w+", parameter)[-1] for parameter in ",".join(found.groups()).split(",")]
    assert [field.name for field in dataclasses.fields(arguments)] == names


def test_the_wheel_carries_the_source() -> None:
    settings_of = read_toml(NATIVE.parents[1] / "pyproject.toml")["tool"]["setuptools"]
    assert f"native/*{Path(ends.NAME).suffix}" in settings_of["package-data"]["rtseg"]


# ------------------------------------------------------------------------------------------------- front


@given(
    image=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.tuples(st.integers(16, 100), st.integers(16, 150)),
    colour_order=st.sampled_from(["RGB", "BGR"]),
    layout=st.sampled_from(["packed", "gaps", "bottom up"]),
    offset=st.integers(0, 2),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
@emulated
def test_the_front_gives_the_bits_of_the_core(gpu, image, size, colour_order, layout, offset, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    height, width = image
    pixels = rng.integers(0, 256, (height, width + 2, 3), dtype=np.uint8)[:, :width]
    pixels = {"packed": pixels.copy(), "gaps": pixels, "bottom up": pixels[::-1]}[layout]
    mean, std = rng.uniform(-1, 1, 3).tolist(), rng.uniform(0.01, 3, 3).tolist()
    spec = ImageSpec(*size, "RGB", 1 / 255, tuple(mean), tuple(std))
    got = gpu_tensor(gpu, pixels, spec, dtype, offset=offset, colour_order=colour_order)
    assert_same_bits(got, tensor_from_image(pixels, spec, colour_order=colour_order).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("colour_order", ["RGB", "BGR"])
@pytest.mark.parametrize("shape", [(16, 17), (33, 128), (19, 260), (17, 131)])
@pytest.mark.parametrize("gap", [0, 1, 4])
def test_an_image_of_the_tensors_size_is_only_normalised(gpu: KernelsOnCpu, shape, gap, colour_order, dtype) -> None:
    height, width = shape
    pixels = np.random.default_rng(1).integers(0, 256, (height, width + gap, 3), dtype=np.uint8)[:, :width]
    spec = ImageSpec(height, width)
    got = gpu_tensor(gpu, pixels, spec, dtype, colour_order=colour_order)
    assert_same_bits(got, tensor_from_image(pixels, spec, colour_order=colour_order).astype(dtype))


@pytest.mark.parametrize("size", [(64, 128), (80, 131), (33, 65), (300, 40), (16, 16)])
@pytest.mark.parametrize("image", [(72, 128), (1, 1), (40, 300), (135, 240)])
def test_larger_and_smaller_images_are_resized_to_the_bits_of_the_core(gpu: KernelsOnCpu, image, size) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (*image, 3), dtype=np.uint8)
    spec = ImageSpec(*size)
    assert_same_bits(gpu_tensor(gpu, pixels, spec), tensor_from_image(pixels, spec))


@pytest.mark.parametrize("width", [16, 17, 18, 19, 130])
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("size", [(16, None), (24, 40)])
def test_the_front_reads_nothing_behind_the_image(gpu: KernelsOnCpu, width: int, size, before: int) -> None:
    pixels = AtTheEnd(np.random.default_rng(3).integers(0, 256, (16, width, 3), dtype=np.uint8), before).array
    spec = ImageSpec(size[0], size[1] or width)
    assert_same_bits(gpu_tensor(gpu, pixels, spec), tensor_from_image(pixels, spec))


@given(
    image=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.tuples(st.integers(16, 70), st.integers(16, 140)),
    colour_order=st.sampled_from(["RGB", "BGR"]),
    bottom_up=st.booleans(),
    padding=st.integers(0, 255),
    offset=st.integers(0, 2),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
@settings(emulated, max_examples=200)
def test_a_letterboxed_image_has_the_bits_of_the_core(
    gpu, image, size, colour_order, bottom_up, padding, offset, dtype, seed
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*image, 3), dtype=np.uint8)[:: -1 if bottom_up else 1]
    mean, std = rng.uniform(-1, 1, 3).tolist(), rng.uniform(0.01, 3, 3).tolist()
    spec = ImageSpec(*size, mean=tuple(mean), std=tuple(std), fit="letterbox", padding=padding)
    got = gpu_tensor(gpu, pixels, spec, dtype, offset=offset, colour_order=colour_order)
    assert_same_bits(got, tensor_from_image(pixels, spec, colour_order=colour_order).astype(dtype))


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("width", [5, 16, 40, 130])
def test_the_letterboxing_reads_nothing_behind_the_image(gpu: KernelsOnCpu, width: int, before: int) -> None:
    pixels = AtTheEnd(np.random.default_rng(3).integers(0, 256, (16, width, 3), dtype=np.uint8), before).array
    spec = ImageSpec(16, 24, fit="letterbox")
    assert_same_bits(gpu_tensor(gpu, pixels, spec), tensor_from_image(pixels, spec))


# -------------------------------------------------------------------------------------------------- tail


@st.composite
def windows(draw: st.DrawFn, logits: tuple[int, int]) -> Window:
    """A part of a canvas that the logits cover at a stride of 1 to 8."""
    stride = draw(st.sampled_from([1, 2, 4, 8]))
    canvas = [side * stride for side in logits]
    sizes = [draw(st.integers(1, side)) for side in canvas]
    return Window(*canvas, *(draw(st.integers(0, side - size)) for side, size in zip(canvas, sizes)), *sizes)


@given(data=st.data(), align_corners=st.booleans(), dtype=st.sampled_from(DTYPES), order=st.integers(0, 1000))
@settings(emulated, max_examples=200)
def test_labels_of_a_window_are_the_cores(gpu, data, align_corners, dtype, order) -> None:
    shape = data.draw(st.tuples(st.integers(2, 6), st.integers(1, 12), st.integers(1, 40)))
    window = data.draw(windows(shape[1:]))
    size = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 200)))
    logits = data.draw(st.sampled_from(PATTERNS))(*shape, dtype)
    got = gpu_labels(gpu, logits, size, align_corners, seed=order, window=window)
    np.testing.assert_array_equal(got, core_labels(logits, size, align_corners, window=window))


@given(data=st.data(), align_corners=st.booleans(), threshold=st.floats(-3, 3), offset=st.integers(0, 3))
@settings(emulated, max_examples=200)
def test_a_mask_is_the_cores(gpu, data, align_corners, threshold, offset) -> None:
    shape = (1, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 20)))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    logits = random.standard_normal(shape).astype(data.draw(st.sampled_from(DTYPES)))
    logits[random.random(shape) < 0.2] = random.choice([np.nan, np.inf, -np.inf, 0, -0.0, threshold])
    window = data.draw(st.none() | windows(logits.shape[1:]))
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 150)))
    if data.draw(st.booleans()) and np.isfinite(logits[0, 0, 0]):
        threshold = float(logits[0, 0, 0])
    what = {"threshold": threshold, "window": window}
    got = gpu_labels(gpu, logits, size, align_corners, offsets=(0, offset), kernel="mask", **what)
    np.testing.assert_array_equal(got, core_labels(logits, size, align_corners, **what))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(40, 56), (5, 8), (3, 6)])
def test_a_channel_that_lies_apart_gives_the_same_mask(gpu: KernelsOnCpu, size, dtype: str) -> None:
    channel = noise(1, 5, 8, dtype)
    padded = np.full((5, 8, 8), 99, dtype)
    padded[..., 0] = channel[0]
    labels = Output(size, "uint8")
    launch = ends.tail(
        *(padded.ctypes.data, channel.shape, labels.pointer, size),
        align_corners=False,
        dtype=dtype,
        strides=ends.channels_last(channel.shape),
        threshold=0.25,
    )
    gpu.run(launch)
    np.testing.assert_array_equal(labels.checked(), core_labels(channel, size, False, threshold=0.25))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(24, 144), (2, 5), (5, 7)])
def test_the_mask_reads_nothing_behind_the_channel(gpu: KernelsOnCpu, size, dtype: str) -> None:
    channel = AtTheEnd(noise(1, 5, 7, dtype)).array
    labels = Output(size, "uint8")
    arguments = (channel.ctypes.data, channel.shape, labels.pointer, size)
    gpu.run(ends.tail(*arguments, align_corners=False, dtype=dtype, threshold=0.0))
    np.testing.assert_array_equal(labels.checked(), core_labels(channel, size, False, threshold=0.0))


@given(
    logits=hnp.arrays(
        st.sampled_from([np.float32, np.float16]),
        st.tuples(st.integers(2, 6), st.integers(1, 9), st.integers(1, 9)),
        elements=st.floats(width=16, allow_nan=True, allow_infinity=True),
        fill=st.floats(width=16, allow_nan=True, allow_infinity=True),
    ),
    size=st.tuples(st.integers(1, 90), st.integers(1, 150)),
    align_corners=st.booleans(),
    order=st.integers(0, 1000),
)
@emulated
def test_whatever_the_logits_the_labels_are_the_cores(gpu, logits, size, align_corners, order) -> None:
    got = gpu_labels(gpu, logits, size, align_corners, seed=order)
    np.testing.assert_array_equal(got, core_labels(logits, size, align_corners))


@given(
    pattern=st.sampled_from(PATTERNS),
    shape=st.tuples(st.integers(2, 40), st.integers(1, 24), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 70), st.integers(1, 200)),
    align_corners=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
@emulated
def test_at_any_size_the_labels_are_the_cores(gpu, pattern, shape, size, align_corners, dtype) -> None:
    logits = pattern(*shape, dtype)
    got = gpu_labels(gpu, logits, size, align_corners)
    np.testing.assert_array_equal(got, core_labels(logits, size, align_corners))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((19, 9, 20), (72, 160)),  # stride 8, two tiles across
        ((11, 12, 34), (48, 136)),  # stride 4
        ((19, 5, 7), (53, 187)),  # no integer ratio
        ((7, 31, 131), (32, 132)),  # cells of one pixel
        ((33, 5, 6), (40, 48)),  # more classes than lanes
    ],
)
def test_upsampled_labels_are_the_cores(gpu: KernelsOnCpu, shape, size, pattern, dtype, align_corners) -> None:
    logits = pattern(*shape, dtype)
    got = gpu_labels(gpu, logits, size, align_corners, kernel="tail_cells")
    np.testing.assert_array_equal(got, core_labels(logits, size, align_corners))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("h", "w"), [(1, 1), (2, 3), (1, 4)])
def test_cells_larger_than_a_tile_are_interpolated(gpu: KernelsOnCpu, h: int, w: int, align_corners: bool) -> None:
    logits = noise(5, h, w)
    got = gpu_labels(gpu, logits, (150, 400), align_corners, kernel="tail_cells")
    np.testing.assert_array_equal(got, core_labels(logits, (150, 400), align_corners))


@pytest.mark.parametrize("classes", [2, 31, 32, 33, 64, 150, 256])
@pytest.mark.parametrize(("size", "kernel"), [((32, 48), "cells"), ((4, 6), "argmax"), ((3, 2), "pixels")])
def test_any_number_of_classes_is_labelled(gpu: KernelsOnCpu, classes: int, size, kernel: str) -> None:
    for pattern in (noise, few_values):
        logits = pattern(classes, 4, 6)
        got = gpu_labels(gpu, logits, size, False, kernel=kernel)
        np.testing.assert_array_equal(got, core_labels(logits, size, False))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(19, 5, 7), (33, 4, 8), (5, 3, 130)])
@pytest.mark.parametrize("size", [(24, 144), (2, 5), None])
def test_the_tail_reads_nothing_behind_the_logits(gpu: KernelsOnCpu, shape, size, dtype: str) -> None:
    logits = AtTheEnd(noise(*shape, dtype)).array
    size = size or shape[1:]
    labels = Output(size, "uint8")
    gpu.run(ends.tail(logits.ctypes.data, shape, labels.pointer, size, align_corners=False, dtype=dtype), seed=1)
    np.testing.assert_array_equal(labels.checked(), core_labels(logits, size, False))


@pytest.mark.parametrize("size", [(64, 64), (16, 40), (5, 6)])
def test_a_class_below_another_everywhere_wins_no_tie_of_rounding(gpu: KernelsOnCpu, size) -> None:
    """Two classes a float32 step apart often get the same score: only leaving out the lower one decides."""
    logits = np.full((3, 8, 8), 2 - 2.0**-22, np.float32)
    logits[1] += np.float32(2.0**-23)
    logits[2, ::2, ::2], logits[2, 1::2] = 2.5, 1
    wanted = core_labels(logits, size, False)
    assert set(wanted.ravel()) == {1, 2}
    np.testing.assert_array_equal(gpu_labels(gpu, logits, size, False), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offsets", [(1, 0), (2, 0), (0, 1), (0, 2), (0, 8)])
@pytest.mark.parametrize("size", [(9, 16), (33, 160), (4, 8)])
def test_logits_and_labels_may_lie_anywhere(gpu: KernelsOnCpu, size, offsets, dtype: str) -> None:
    logits = noise(5, 9, 16, dtype)
    got = gpu_labels(gpu, logits, size, False, offsets=offsets)
    np.testing.assert_array_equal(got, core_labels(logits, size, False))


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("w", [64, 65, 66])
def test_logits_with_gaps_between_them_are_labelled(gpu: KernelsOnCpu, w: int, step: int) -> None:
    wide = noise(3, 6, step * w)
    logits = np.ascontiguousarray(wide[:, :, : step * 60 : step])
    for size in [(6, 60), (20, 130)]:
        labels = Output(size, "uint8")
        launch = ends.tail(
            *(wide.ctypes.data, logits.shape, labels.pointer, size),
            align_corners=False,
            strides=(6 * step * w, step * w, step),
        )
        gpu.run(launch)
        np.testing.assert_array_equal(labels.checked(), core_labels(logits, size, False))


def test_every_class_up_to_the_last_can_win(gpu: KernelsOnCpu) -> None:
    logits = np.zeros((256, 16, 16), np.float32)
    logits.reshape(256, 256)[np.arange(256), np.arange(256)] = 1
    assert set(gpu_labels(gpu, logits, (64, 64), False).ravel()) == set(range(256))


def test_of_two_equal_classes_the_lower_index_wins(gpu: KernelsOnCpu) -> None:
    distinct = noise(20, 6, 8)
    twice = np.concatenate([distinct, distinct])
    for size in [(6, 8), (48, 64), (5, 3)]:
        assert (gpu_labels(gpu, twice, size, False) < 20).all()


@pytest.mark.parametrize("align_corners", [False, True])
def test_an_axis_that_hardly_grows_is_sampled_as_by_the_core(gpu: KernelsOnCpu, align_corners: bool) -> None:
    logits = few_values(2, 1, 3000)
    got = gpu_labels(gpu, logits, (1, 3001), align_corners, kernel="tail_cells")
    np.testing.assert_array_equal(got, core_labels(logits, (1, 3001), align_corners))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shrunk", [0, 1, 2, 77, 4097])
@pytest.mark.parametrize("outputs", [MAX_SIDE, MAX_SIDE - 13, 5_000_011])
def test_a_tile_has_room_for_its_cells_even_where_rounding_moves_samples(outputs, shrunk, align_corners) -> None:
    near = Axis.of(outputs - shrunk, outputs, align_corners=align_corners).near
    for tile in (128, 32):
        first = np.arange(0, outputs, tile)
        last = np.minimum(first + tile, outputs) - 1
        assert (near[last] - near[first] + 1).max() <= tile + 2


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shrunk", [0, 1, 2, 77])
@pytest.mark.parametrize("begin", [0.0, 1 / 3, 0.5, 1.0])
@pytest.mark.parametrize("outputs", [ends.MAX_WINDOWED_SIDE, 200_003, 16_384, 701])
def test_a_tile_has_room_for_the_cells_of_a_window(outputs, begin, shrunk, align_corners) -> None:
    for canvas in (outputs, 2 * outputs - 1, 5 * outputs):
        inputs = min(canvas, ends.MAX_WINDOWED_SIDE)
        length = max(1, outputs * canvas // inputs - shrunk)
        if length > canvas:
            continue
        part = Part(canvas, int((canvas - length) * begin), length)
        near = Axis.of(inputs, outputs, align_corners=align_corners, part=part).near
        for tile in (128, 32):
            first = np.arange(0, outputs, tile)
            last = np.minimum(first + tile, outputs) - 1
            assert (near[last] - near[first] + 1).max() <= tile + 2
        assert np.diff(near).max(initial=0) <= 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(40, 56), (5, 8), (3, 6)])
def test_logits_with_the_classes_together_give_the_same_labels(gpu: KernelsOnCpu, size, dtype: str) -> None:
    logits = noise(19, 5, 8, dtype)
    padded = np.full((5, 8, 24), 99, dtype)
    padded[..., :19] = logits.transpose(1, 2, 0)
    labels = Output(size, "uint8")
    launch = ends.tail(
        *(padded.ctypes.data, logits.shape, labels.pointer, size),
        align_corners=False,
        dtype=dtype,
        strides=ends.channels_last(logits.shape),
    )
    gpu.run(launch)
    np.testing.assert_array_equal(labels.checked(), core_labels(logits, size, False))


def test_the_order_in_which_threads_run_changes_no_label(gpu: KernelsOnCpu) -> None:
    logits = few_values(19, 9, 20)
    wanted = gpu_labels(gpu, logits, (72, 160), False)
    for seed in range(1, 9):
        np.testing.assert_array_equal(gpu_labels(gpu, logits, (72, 160), False, seed=seed), wanted)


@pytest.mark.parametrize("which", [0, *(pytest.param(which, marks=pytest.mark.slow) for which in (1, 2))])
def test_a_kernel_that_lacks_a_barrier_is_found_out(gpu: KernelsOnCpu, tmp_path: Path, which: int) -> None:
    pieces = ends.source().split("    __syncthreads();\n")
    assert len(pieces) == 4
    pieces[which : which + 2] = [pieces[which] + pieces[which + 1]]
    (tmp_path / ends.NAME).write_text("    __syncthreads();\n".join(pieces))
    compile_kernels(tmp_path, tmp_path)
    broken = KernelsOnCpu(tmp_path)
    logits = few_values(19, 9, 20)
    wanted = core_labels(logits, (72, 160), False)
    got = [gpu_labels(broken, logits, (72, 160), False, seed=seed) for seed in range(4)]
    assert any((labels != wanted).any() for labels in got)


# ----------------------------------------------------------------------------------------------- overlay

CLASSES = ClassSpec("test", ("a", "b", "c"), ((255, 0, 10), (1, 128, 255), (77, 3, 200)))


def gpu_overlay(
    gpu: KernelsOnCpu, image: np.ndarray, labels: np.ndarray, opacity: float, colour_order: str = "RGB"
) -> np.ndarray:
    palette, result = colour_table(CLASSES), Output((*labels.shape, 3), "uint8")
    launch = ends.overlay(
        *(image.ctypes.data, labels.shape, labels.ctypes.data, palette.ctypes.data, result.pointer),
        opacity=opacity,
        colour_order=colour_order,
        row_bytes=image.strides[0],
    )
    gpu.run(launch)
    return result.checked()


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 140)),
    opacity=st.integers(0, 256),
    colour_order=st.sampled_from(["RGB", "BGR"]),
    gap=st.integers(0, 2),
    seed=st.integers(0, 2**32 - 1),
)
@emulated
def test_the_overlay_has_the_pixels_of_the_one_made_on_the_cpu(gpu, shape, opacity, colour_order, gap, seed) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (shape[0], shape[1] + gap, 3), dtype=np.uint8)[:, : shape[1]]
    labels = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), shape)
    got = gpu_overlay(gpu, image, labels, opacity / 256, colour_order)
    rgb = image if colour_order == "RGB" else image[..., ::-1]
    np.testing.assert_array_equal(got, overlay_of(rgb, labels, CLASSES, opacity=opacity / 256))


@pytest.mark.parametrize("width", [1, 2, 3, 130])
@pytest.mark.parametrize("before", range(4))
def test_the_overlay_reads_nothing_behind_the_image_and_the_labels(gpu: KernelsOnCpu, width: int, before: int) -> None:
    image = AtTheEnd(np.random.default_rng(4).integers(0, 256, (5, width, 3), dtype=np.uint8), before).array
    labels = AtTheEnd(np.random.default_rng(4).integers(0, 3, (5, width), dtype=np.uint8)).array
    np.testing.assert_array_equal(gpu_overlay(gpu, image, labels, 0.5), overlay_of(image, labels, CLASSES))


def test_at_another_opacity_only_values_in_the_middle_may_be_rounded_to_the_other_side(gpu: KernelsOnCpu) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 200, 3), dtype=np.uint8)
    labels = rng.integers(0, 4, (64, 200), dtype=np.uint8)
    exact = image * (1 - 0.3) + colour_table(CLASSES)[labels] * 0.3
    got = gpu_overlay(gpu, image, labels, 0.3)
    assert np.abs(got - exact).max() <= 0.5 + 1e-4


# --------------------------------------------------------------------------------------------- compilers

NVCC = shutil.which("nvcc")
ARCHITECTURES = ("sm_75", "sm_87", "sm_90")

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc")


@pytest.fixture(scope="session", params=ARCHITECTURES)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The source compiled by nvcc: the assembler's report, and the PTX."""
    folder = tmp_path_factory.mktemp("nvcc")
    command = [NVCC, *ends.OPTIONS, f"-arch={request.param}", "--keep", "--keep-dir", folder, "-Xptxas", "-v"]
    command += ["-Werror", "all-warnings", "--cubin", "-o", folder / "frame_ends.cubin", NATIVE / ends.NAME]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr, (folder / "frame_ends.ptx").read_text()


@needs_nvcc
def test_nvcc_compiles_every_kernel_without_a_warning(compiled) -> None:
    _, ptx = compiled
    for name in ends.KERNELS:
        assert f".entry {name}(" in ptx


@needs_nvcc
def test_no_kernel_needs_memory_for_registers(compiled) -> None:
    report, ptx = compiled
    assert report.count("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") == len(ends.KERNELS)
    assert ".local" not in ptx


@needs_nvcc
def test_nothing_is_left_to_the_compiler_that_would_change_a_result(compiled) -> None:
    _, ptx = compiled
    operations = {line.split()[0] for line in ptx.splitlines() if line.startswith("\t") and line.strip()}
    operations = {word for word in operations if word.endswith((".f32", ".f64", ".f16"))}
    assert {"mul.rn.f32", "add.rn.f32", "div.rn.f32"} <= operations
    rounded_once = ("mul.rn.f32", "add.rn.f32", "sub.rn.f32", "div.rn.f32", "cvt.")
    rounds_nothing = ("ld.", "st.", "mov.", "min.", "max.", "setp.", "selp.", "neg.", "abs.")
    assert [word for word in operations if not word.startswith((*rounded_once, *rounds_nothing))] == []
    assert not any("ftz" in word or "f64" in word for word in operations)


def runtime_compiler() -> ctypes.CDLL | None:
    """NVRTC by its usual names, from the toolkit's folder, or from NVIDIA's wheels."""
    names = [f"libnvrtc.so{version}" for version in ("", ".13", ".12", ".11.2")]
    folders = sorted(Path("/usr/local").glob("cuda*/lib64"))
    wheels = [path for root in sys.path for path in Path(root).glob("nvidia/*/lib/libnvrtc.so.*")]
    for candidate in [*names, *(folder / name for folder in folders for name in names), *wheels]:
        try:
            return ctypes.CDLL(str(candidate))
        except OSError:
            continue
    return None


@pytest.mark.parametrize("architecture", ["compute_75", "compute_87", "compute_90"])
def test_the_runtime_compiler_takes_the_source_and_needs_no_header(architecture: str) -> None:
    nvrtc = runtime_compiler()
    if nvrtc is None:
        pytest.skip("no libnvrtc")
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = [*ends.OPTIONS, f"--gpu-architecture={architecture}"]
    flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    made = nvrtc.nvrtcCreateProgram(ctypes.byref(program), ends.source().encode(), ends.NAME.encode(), 0, None, None)
    assert made == 0
    code = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
    assert nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)) == 0
    log = ctypes.create_string_buffer(size.value)
    assert nvrtc.nvrtcGetProgramLog(program, log) == 0
    assert (code, log.value.decode()) == (0, "")
    assert nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)) == 0
    ptx = ctypes.create_string_buffer(size.value)
    assert nvrtc.nvrtcGetPTX(program, ptx) == 0
    assert all(f".entry {name}(".encode() in ptx.value for name in ends.KERNELS)
    assert nvrtc.nvrtcDestroyProgram(ctypes.byref(program)) == 0


# ----------------------------------------------------------------------------------------------- refusals

SPEC = ImageSpec(16, 32)
SHAPE = (19, 4, 6)


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        (lambda: ends.front(1, (0, 4), 1, SPEC), "size of the image is out of range"),
        (lambda: ends.front(1, (4, 1 << 24), 1, SPEC), "size of the image is out of range"),
        (lambda: ends.front(1, (4, 4), 1, SPEC, row_bytes=11), "rows overlap"),
        (lambda: ends.front(1, (4, 4), 1, SPEC, row_bytes=-11), "rows overlap"),
        (lambda: ends.front(1, (4, 4), 1, SPEC, colour_order="GBR"), "unknown colour order"),
        (lambda: ends.front(1, (4, 4), 1, SPEC, dtype="int8"), "no kernel takes this type; got int8"),
        (lambda: ends.front(1, (4, 4), 1, ImageSpec(16, 32, std=(1, 1, 1e-60))), "std is too small"),
        (lambda: ends.front(1, (4, 4), 1, ImageSpec(16, 32, mean=(0, float("nan"), 0))), "not a finite float32 number"),
        (lambda: ends.tail(1, (1, 4, 6), 1, (8, 8), align_corners=False), "number of classes"),
        (lambda: ends.tail(1, (257, 4, 6), 1, (8, 8), align_corners=False), "number of classes"),
        (lambda: ends.tail(1, (2, 4, 6), 1, (8, 8), align_corners=False, threshold=0.5), "number of classes"),
        (lambda: ends.tail(1, (1, 4, 6), 1, (8, 8), align_corners=False, threshold=float("nan")), "the threshold"),
        (lambda: ends.tail(1, (19, 0, 6), 1, (8, 8), align_corners=False), "size of the logits"),
        (lambda: ends.tail(1, SHAPE, 1, (8, -1), align_corners=False), "size of the label map"),
        (lambda: ends.tail(1, SHAPE, 1, (8, 8), align_corners=False, dtype="float64"), "no kernel takes this type"),
        (lambda: ends.tail(1, SHAPE, 1, (MAX_SIDE, MAX_SIDE), align_corners=False), "too large for one launch"),
        (lambda: ends.overlay(1, (4, 4), 1, 1, 1, opacity=1.5), "opacity is out of range"),
        (lambda: ends.overlay(1, (4, 4), 1, 1, 1, opacity=float("nan")), "opacity is out of range"),
    ],
)
def test_what_the_kernels_do_not_take_is_refused(launch, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        launch()


@pytest.mark.parametrize(
    ("shape", "size", "kernel", "blocks"),
    [
        ((19, 128, 256), (1024, 2048), "rtseg_tail_cells_f16", 16 * 32),
        ((19, 1024, 2048), (1024, 2048), "rtseg_tail_argmax_f16", 16 * 128),
        ((19, 128, 256), (100, 300), "rtseg_tail_pixels_f16", 10 * 13),
        ((19, 45, 60), (360, 480), "rtseg_tail_cells_f16", 4 * 12),
    ],
)
def test_the_tail_that_suits_the_sizes_is_launched(shape, size, kernel: str, blocks: int) -> None:
    launch = ends.tail(4096, shape, 8192, size, align_corners=False, dtype="float16")
    assert (launch.kernel, launch.grid, launch.block) == (kernel, (blocks, 1, 1), (32, 8, 1))
    assert [value.item() for value in launch.arguments.values()] == [
        *(4096, *shape, shape[1] * shape[2], shape[2], 1),
        *(8192, *size, 0),
        *(np.float32(shape[1]) / np.float32(size[0]), 0, np.float32(shape[2]) / np.float32(size[1]), 0),
    ]


@pytest.mark.parametrize(
    ("shape", "size", "kernel"),
    [
        ((19, 80, 80), (1080, 1920), "rtseg_tail_cells_f32"),
        ((19, 80, 80), (30, 60), "rtseg_tail_pixels_f32"),
        ((19, 640, 640), (360, 640), "rtseg_tail_cells_f32"),
        ((19, 640, 640), (359, 640), "rtseg_tail_pixels_f32"),
        ((19, 640, 640), (640, 640), "rtseg_tail_cells_f32"),
        ((1, 640, 640), (640, 640), "rtseg_mask_f32"),
    ],
)
def test_the_tail_that_suits_the_window_is_launched(shape, size, kernel: str) -> None:
    window = Window(640, 640, 140, 0, 360, 640)
    threshold = 0.5 if shape[0] == 1 else None
    launch = ends.tail(4096, shape, 8192, size, align_corners=False, window=window, threshold=threshold)
    assert launch.kernel == kernel


def test_an_image_that_is_letterboxed_launches_another_front() -> None:
    spec = ImageSpec(64, 96, fit="letterbox", padding=7)
    launch = ends.front(4096, (64, 48), 8192, spec)
    assert (launch.kernel, launch.grid) == ("rtseg_letterbox_f32", (4, 1, 1))
    assert [value.item() for value in launch.arguments.values()][-5:] == [0, 24, 64, 48, 7]
    assert ends.front(4096, (64, 96), 8192, spec).kernel == "rtseg_front_normalize_f32"
    assert ends.front(4096, (32, 48), 8192, spec).kernel == "rtseg_front_resize_f32"
