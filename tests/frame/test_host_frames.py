"""Frames with the host's ends, over a runner that counts its calls and copies nothing."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtseg.errors import ImageError, RunnerError, SpecError
from rtseg.frame import host_ends, native_library
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.host_frames import HostFrames
from rtseg.frame.palette import overlay
from rtseg.frame.protocol import Array, Runner, Step, TensorSpec
from rtseg.frame.segmenter import Segmenter
from rtseg.specs import INTERFACES, ClassSpec, ImageSpec, OutputSpec, tensor_shapes

CLASSES = ClassSpec("", ("red", "green", "blue"), ((200, 0, 0), (0, 200, 0), (0, 0, 200)))
IMAGE = ImageSpec(32, 48)
SIZES = [(32, 48), (50, 70)]


class BrightestChannel(Runner):
    """A graph whose classes are the three channels: it gives them back, or says of each pixel which is the highest."""

    backend = "test"
    device = "CPU"

    def __init__(self, ends: HostEnds, dtype: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        source, result = tensor_shapes(ends.image, ends.output)
        kind = "uint8" if ends.gives_labels else dtype
        self._input, self._output = TensorSpec("image", source, kind), TensorSpec("output", result, kind)

    @property
    def input(self) -> TensorSpec:
        return self._input

    @property
    def output(self) -> TensorSpec:
        return self._output

    def run(self, given: Array, made: Array) -> None:
        self.counts["run"] += 1
        made[...] = given.argmax(-1) if given.dtype == np.uint8 else given

    def _load(self) -> None:
        pass

    def _free(self) -> None:
        pass

    def _infer(self, array: Array) -> Array:
        made = np.empty(self.output.shape, self.output.dtype)
        self.run(array, made)
        return made

    def _bind(self, array: Array) -> Step:
        self.counts["bind"] += 1
        return BoundChannels(self, array)


class BoundChannels(Step):
    def __init__(self, runner: BrightestChannel, array: Array) -> None:
        self.input, self.output = array.copy(), np.empty(runner.output.shape, runner.output.dtype)
        self._runner = runner

    def __call__(self) -> None:
        self._runner.run(self.input, self.output)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def frames_and_runner(interface: str, dtype: str = "float32") -> tuple[HostFrames, BrightestChannel]:
    ends = HostEnds(IMAGE, OutputSpec(CLASSES, interface, 1, align_corners=False), threads=1)
    runner = BrightestChannel(ends, dtype)
    runner.open()
    return HostFrames(runner, ends), runner


@pytest.fixture(params=[*((interface, "float32") for interface in INTERFACES), ("logits", "float16")], ids="-".join)
def made(request: pytest.FixtureRequest) -> tuple[HostFrames, BrightestChannel]:
    return frames_and_runner(*request.param)


def test_labels_come_at_the_size_of_the_image(made: tuple[HostFrames, BrightestChannel]) -> None:
    frames, runner = made
    for size in [*SIZES, (1, 1), (200, 20)]:
        labels = frames(picture(*size))
        assert (labels.shape, labels.dtype) == (size, np.uint8)
    assert runner.counts == Counter(run=4)


def test_the_labels_of_an_image_of_one_colour_are_its_channel(made: tuple[HostFrames, BrightestChannel]) -> None:
    frames, _ = made
    for channel in range(3):
        image = np.zeros((*SIZES[1], 3), np.uint8)
        image[..., channel] = 255
        assert (frames(image) == channel).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_bound_frame_is_one_run_of_the_graph_and_equals_the_plain_call(
    made: tuple[HostFrames, BrightestChannel], size: tuple[int, int]
) -> None:
    frames, runner = made
    wanted, runner.counts = frames(picture(*size)), Counter()
    step = frames.bind(picture(*size))
    np.testing.assert_array_equal(step.labels, wanted)
    assert runner.counts == Counter(bind=1, run=1)
    labels, step.image[...] = step.labels, picture(*size, 1)
    step()
    assert runner.counts == Counter(bind=1, run=2)
    assert step.labels is labels
    np.testing.assert_array_equal(labels, frames(picture(*size, 1)))


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_bound_frame_writes_its_buffers_in_place(monkeypatch: pytest.MonkeyPatch, interface: str) -> None:
    frames, _ = frames_and_runner(interface)
    step = frames.bind(picture(50, 70))
    filled: dict[str, Any] = {}
    for name in ("tensor_from_image", "resized_image", "labels_from_logits", "resize_labels"):
        real = getattr(host_ends, name)

        def called(*given: Any, name: str = name, real: Any = real, **options: Any) -> Any:
            filled[name] = options["out"]
            return real(*given, **options)

        monkeypatch.setattr(host_ends, name, called)
    step()
    front, tail = (
        ("resized_image", "resize_labels") if interface == "labels" else ("tensor_from_image", "labels_from_logits")
    )
    assert set(filled) == {front, tail}
    assert np.shares_memory(filled[front], step._graph.input)  # type: ignore[attr-defined]
    assert filled[tail] is step.labels


@pytest.mark.parametrize("size", SIZES)
def test_labels_and_overlay_come_together(made: tuple[HostFrames, BrightestChannel], size: tuple[int, int]) -> None:
    frames, runner = made
    image = picture(*size)[:, ::-1]
    labels, laid = frames.with_overlay(image, 0.25)
    assert runner.counts == Counter(run=1)
    np.testing.assert_array_equal(labels, frames(image))
    np.testing.assert_array_equal(laid, overlay(image, labels, CLASSES, opacity=0.25))


@pytest.mark.parametrize("size", SIZES)
def test_a_bound_frame_lays_the_colours_over_its_image(
    made: tuple[HostFrames, BrightestChannel], size: tuple[int, int]
) -> None:
    frames, _ = made
    step = frames.bind(picture(*size), overlay=0.75)
    laid = step.overlay
    for seed in (0, 1):
        step.image[...] = picture(*size, seed)
        step()
        assert step.overlay is laid
        labels, wanted = frames.with_overlay(picture(*size, seed), 0.75)
        np.testing.assert_array_equal(step.labels, labels)
        np.testing.assert_array_equal(laid, wanted)
    assert frames.bind(picture(*size)).overlay is None


def test_what_cannot_be_a_frame_is_refused_before_the_graph_runs(made: tuple[HostFrames, BrightestChannel]) -> None:
    frames, runner = made
    for call in (frames.bind, lambda image, overlay: frames.with_overlay(image, overlay)):
        with pytest.raises(ImageError, match="not an image"):
            call(picture(4, 4)[..., 0], overlay=2)
        with pytest.raises(SpecError, match="the opacity is out of range"):
            call(picture(4, 4), overlay=2)
    assert runner.counts == Counter()


def test_arrays_on_a_device_are_refused_and_it_is_told_who_takes_them() -> None:
    frames, _ = frames_and_runner("logits")
    with pytest.raises(
        RunnerError,
        match=r"got the runner test, .*; expected an engine, with tensorrt, tensorrt-pycuda or tensorrt-rtx",
    ):
        frames.bind_device(picture(4, 4), overlay=0.5)


# Threads of the C++ core

TASKS = Path("/proc/self/task")
LARGE = picture(300, 400)
"""Enough labels for three threads."""

needs_core = pytest.mark.skipif(
    native_library.core() is None or not TASKS.is_dir(), reason="no C++ core, or no /proc, which counts threads"
)


def tasks() -> set[str]:
    return {path.name for path in TASKS.iterdir()}


def require_gone(started: set[str]) -> None:
    """Wait until the system lists these threads no more, which is a moment after they were joined."""
    deadline = time.monotonic() + 20
    while tasks() & started:
        assert time.monotonic() < deadline, "a thread is still there"


@needs_core
def test_a_bound_frame_has_threads_of_its_own_that_end_with_it() -> None:
    ends = HostEnds(IMAGE, OutputSpec(CLASSES, "logits", 1, align_corners=False), threads=3)
    runner = BrightestChannel(ends, "float32")
    runner.open()
    frames = HostFrames(runner, ends)
    frames(LARGE)
    before = tasks()
    step = frames.bind(LARGE)
    started = tasks() - before
    assert len(started) == 2
    step()
    assert tasks() - before == started
    del step
    require_gone(started)


@needs_core
def test_closing_a_segmenter_ends_the_threads_of_its_ends() -> None:
    output = OutputSpec(CLASSES, "logits", 1, align_corners=False)
    segmenter = Segmenter(BrightestChannel(HostEnds(IMAGE, output), "float32"), IMAGE, output, threads=3)
    before = tasks()
    segmenter(LARGE)
    started = tasks() - before
    assert len(started) == 2
    segmenter.close()
    require_gone(started)
