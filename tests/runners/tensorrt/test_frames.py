"""Whole frames on an emulated GPU: the real kernels' source and ONNX Runtime give the labels that the host gives."""

from __future__ import annotations

import gc
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtseg.artifacts.manifest import read_manifest
from rtseg.errors import CudaError, ImageError, RunnerError
from rtseg.frame import host_ends
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.host_frames import HostFrames
from rtseg.frame.segmenter import Segmenter
from rtseg.runners.cuda.end_kernels import code_path
from rtseg.runners.cuda.protocol import DeviceMemory
from rtseg.runners.loading import load
from rtseg.runners.tensorrt.frames import DeviceFrames
from rtseg.runners.tensorrt.lanes import KEPT_STEPS
from rtseg.runners.tensorrt.runner import TensorRtRunner
from tests.emulated_gpu.driver import CODE, EmulatedDriver
from tests.emulated_gpu.graphs import SIZE
from tests.emulated_gpu.machine import EmulatedMachine, scene
from tests.emulated_gpu.tensorrt import PlanTensor

INTERFACES = ("logits", "scores", "labels")
OTHER = (50, 70)
"""A size that is neither the graphs' nor a multiple of anything."""

HALF = PlanTensor("HALF")


def opened(path: Path, **options: Any) -> tuple[Segmenter, DeviceFrames]:
    manifest = read_manifest(path, kind="engine")
    segmenter = Segmenter(TensorRtRunner(path, **options), manifest.image, manifest.output)
    assert isinstance(segmenter._frames, DeviceFrames)
    return segmenter, segmenter._frames


@pytest.fixture
def logits(machine: EmulatedMachine) -> Iterator[tuple[Segmenter, DeviceFrames]]:
    """The engine of a graph that gives logits, on the device, and its frames."""
    segmenter, frames = opened(machine.engine(machine.graph()))
    with segmenter:
        yield segmenter, frames


@pytest.mark.parametrize("size", [SIZE, OTHER])
def test_the_callers_buffer_is_filled_and_returned(
    logits: tuple[Segmenter, DeviceFrames], size: tuple[int, int]
) -> None:
    image, buffer = scene(*size), np.full(size, 99, np.uint8)
    assert logits[0](image, out=buffer) is buffer
    np.testing.assert_array_equal(buffer, logits[0](image))


@pytest.mark.parametrize("captures", [True, False], ids=["graphs", "no graphs"])
@pytest.mark.parametrize("interface", INTERFACES)
def test_labels_are_those_of_the_onnx_file_at_any_size(make_machine: Any, interface: str, captures: bool) -> None:
    machine = make_machine(captures=captures)
    graph = machine.graph(interface)
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference:
        for size in (SIZE, OTHER, (130, 200), (1, 1)):
            for seed in range(2):
                image = scene(*size, seed)
                wanted = reference(image)
                np.testing.assert_array_equal(engine(image), wanted)
                np.testing.assert_array_equal(engine(image[:, ::-1]), reference(image[:, ::-1]))


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("eager", [False, True], ids=["late", "at once"])
@pytest.mark.parametrize("size", [SIZE, OTHER])
def test_a_bound_frame_reads_its_image_again_and_is_done_after_wait(
    make_machine: Any, interface: str, eager: bool, size: tuple[int, int]
) -> None:
    machine = make_machine(eager=eager)
    graph = machine.graph(interface)
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference:
        first, second = scene(*size, 1), scene(*size, 2)
        step: Any = engine.bind(first)
        labels = step.labels
        step()
        np.testing.assert_array_equal(labels, reference(first))
        step.image[...] = second
        step.launch()
        step.wait()
        assert step.labels is labels
        np.testing.assert_array_equal(labels, reference(second))
        assert step.graph is not None and step.stream.handle
        step.close()


@pytest.mark.parametrize("interface", ["logits", "labels"])
def test_a_graph_that_takes_bgr_is_given_bgr(machine: EmulatedMachine, interface: str) -> None:
    graph = machine.graph(interface, colour_order="BGR")
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference:
        for size in (SIZE, OTHER):
            np.testing.assert_array_equal(engine(scene(*size)), reference(scene(*size)))
            step = engine.bind(scene(*size))
            step()
            np.testing.assert_array_equal(step.labels, reference(scene(*size)))


@pytest.mark.parametrize("ends", [{}, {"threshold": 0.5, "fit": "letterbox"}], ids=["argmax", "threshold"])
@pytest.mark.parametrize("result", [HALF, PlanTensor("HALF", "HWC8"), PlanTensor("FLOAT", "HWC")])
@pytest.mark.parametrize("interface", ["logits", "scores"])
def test_half_precision_and_channels_that_lie_together_give_the_hosts_labels(
    machine: EmulatedMachine, interface: str, result: PlanTensor, ends: dict[str, Any]
) -> None:
    graph = machine.graph(interface, **ends)
    segmenter, frames = opened(machine.engine(graph, source=HALF, result=result))
    with segmenter, load(graph, threads=1) as reference:
        on_host = HostFrames(segmenter.runner, HostEnds(segmenter.image, segmenter.output))
        for size in (SIZE, OTHER, (130, 200)):
            labels = frames(scene(*size))
            np.testing.assert_array_equal(labels, on_host(scene(*size)))
            assert np.mean(labels == reference(scene(*size))) > 0.99


def test_a_frame_is_one_launch_of_a_graph_and_one_wait(
    machine: EmulatedMachine, logits: tuple[Segmenter, DeviceFrames]
) -> None:
    _segmenter, frames = logits
    step = frames.bind(scene(*OTHER))
    before = machine.driver.counts.copy()
    step()
    assert machine.driver.counts - before == Counter({"launch graph": 1, "synchronize": 1})


def test_each_size_is_captured_once_and_only_few_are_kept(
    machine: EmulatedMachine, logits: tuple[Segmenter, DeviceFrames]
) -> None:
    _, frames = logits
    empty = machine.driver.used
    images = [scene(32, 32 + 16 * index) for index in range(2 * KEPT_STEPS)]
    for image in images[:KEPT_STEPS] * 3:
        frames(image)
    assert machine.driver.counts["capture"] == KEPT_STEPS
    for image in images:
        frames(image)
    frames(images[-KEPT_STEPS])
    assert machine.driver.counts["capture"] == 2 * KEPT_STEPS
    on_device = sum(image.nbytes + image.nbytes // 3 for image in images[-KEPT_STEPS:])
    assert machine.driver.used == empty + on_device


def test_many_threads_on_two_contexts_get_the_labels_of_one(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    images = [scene(*size, seed) for seed, size in enumerate([SIZE, OTHER, (40, 90)])]
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference, ThreadPoolExecutor(6) as pool:
        wanted = [reference(image) for image in images]
        for labels, right in zip(pool.map(engine, images * 6), wanted * 6):
            np.testing.assert_array_equal(labels, right)
        assert machine.tensorrt.alive[2] <= 2


def test_labels_are_not_touched_by_the_next_frame(logits: tuple[Segmenter, DeviceFrames]) -> None:
    _, frames = logits
    first = frames(scene(*SIZE, 1))
    kept = first.copy()
    assert (frames(scene(*SIZE, 2)) != kept).any()
    np.testing.assert_array_equal(first, kept)


def test_two_contracts_of_one_engine_are_kept_apart(machine: EmulatedMachine) -> None:
    segmenter, frames = opened(machine.engine(machine.graph()))
    with segmenter:
        darker = replace(segmenter.image, mean=(3.0, 0.1, 2.0))
        other = segmenter.runner.frames(darker, segmenter.output)
        assert other is not None
        image = scene(*SIZE)
        first, second = frames(image), other(image)
        assert (first != second).any()
        np.testing.assert_array_equal(frames(image), first)


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize(
    "image", [np.zeros((64, 96), np.uint8), np.zeros((64, 96, 3), np.float32), np.zeros((0, 96, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(machine: EmulatedMachine, interface: str, image: Any) -> None:
    with load(machine.engine(machine.graph(interface))) as engine:
        for call in (engine, engine.bind):
            with pytest.raises(ImageError):
                call(image)


def test_a_closed_runner_takes_no_more_frames(machine: EmulatedMachine, logits: tuple[Segmenter, DeviceFrames]) -> None:
    segmenter, frames = logits
    frames(scene(*SIZE))
    segmenter.close()
    for call in (frames, frames.bind):
        with pytest.raises(RunnerError, match="not open"):
            call(scene(*SIZE))
    assert (machine.tensorrt.alive, machine.driver.used) == ((0, 0, 0), 0)


def test_a_bound_frame_outlives_all_it_was_made_by_and_leaves_nothing_once_closed(machine: EmulatedMachine) -> None:
    graph = machine.graph()

    def bound() -> Any:
        with load(machine.engine(graph)) as engine:
            return engine.bind(scene(*OTHER), overlay=0.5)

    step = bound()
    gc.collect()
    step.image[...] = scene(*OTHER, 1)
    step()
    with load(graph, threads=1) as reference:
        np.testing.assert_array_equal(step.labels, reference(scene(*OTHER, 1)))
    step.close()
    assert (machine.tensorrt.alive[2], machine.driver.used) == (0, 0)
    with pytest.raises(RunnerError, match="closed"):
        step()


def test_an_image_there_is_no_room_for_is_refused_and_the_next_one_taken(
    machine: EmulatedMachine, logits: tuple[Segmenter, DeviceFrames]
) -> None:
    _segmenter, frames = logits
    with pytest.raises(
        RunnerError, match=r"not enough GPU memory for the image; got 6\d\.\d MiB free; expected 85\.8 "
    ):
        frames(np.zeros((5000, 6000, 3), np.uint8))
    assert frames(scene(*SIZE)).shape == SIZE


@pytest.mark.parametrize("threads", [1, 3])
def test_the_host_resizes_for_a_graph_that_labels_with_the_cores_it_is_allowed(
    machine: EmulatedMachine, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    told: list[int] = []
    real = host_ends.resized_image

    def called(*arguments: Any, **options: Any) -> Any:
        told.append(options["threads"])
        return real(*arguments, **options)

    monkeypatch.setattr(host_ends, "resized_image", called)
    graph = machine.graph("labels")
    with load(machine.engine(graph), threads=threads) as engine:
        labels = engine(scene(*OTHER))
    assert set(told) == {threads}
    with load(graph, threads=1) as reference:
        np.testing.assert_array_equal(labels, reference(scene(*OTHER)))


# Arrays that are on the device


class DeviceArray:
    """As PyCUDA, Numba and CuPy show theirs."""

    def __init__(self, memory: DeviceMemory, shape: tuple[int, ...], stream: int | None = None) -> None:
        self.memory, self.shape = memory, shape
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": "|u1",
            "data": (memory.handle, False),
            "version": 3,
            "stream": stream,
        }


def on_device(driver: EmulatedDriver, array: np.ndarray) -> DeviceArray:
    """Return a copy that another library's stream has yet to write."""
    stream, memory = driver.create_stream(), driver.allocate(array.nbytes)
    driver.copy_to_device(memory, array, stream)
    made = DeviceArray(memory, array.shape, stream.handle)
    made.stream = stream  # type: ignore[attr-defined]
    return made


def from_device(driver: EmulatedDriver, memory: DeviceMemory, shape: tuple[int, ...]) -> np.ndarray:
    return driver.bytes_at(memory.handle, memory.size).reshape(shape).copy()


@pytest.mark.parametrize(("interface", "size"), [("logits", OTHER), ("scores", OTHER), ("labels", SIZE)])
def test_arrays_on_the_device_are_used_where_they_are(
    machine: EmulatedMachine, interface: str, size: tuple[int, int]
) -> None:
    graph, driver = machine.graph(interface), machine.driver
    segmenter, frames = opened(machine.engine(graph))
    with segmenter, load(graph, threads=1) as reference:
        given = on_device(driver, scene(*size, 1))
        labels = DeviceArray(driver.allocate(size[0] * size[1]), size)
        before = driver.used
        step = frames.bind_device(given, labels)
        assert driver.counts["wait_for_producer"] == 1
        lane = 64 * 96 * 3 * (1 if interface == "labels" else 4) + step.lane.output.size
        assert driver.used - before <= lane + (1 << 16)  # a context, and no image, and no label map
        np.testing.assert_array_equal(from_device(driver, labels.memory, size), reference(scene(*size, 1)))
        driver.bytes_at(given.memory.handle, given.memory.size)[...] = scene(*size, 2).ravel()
        counts = driver.counts.copy()
        step.launch()
        step.wait()
        assert driver.counts - counts == Counter({"launch graph": 1, "synchronize": 1})
        np.testing.assert_array_equal(from_device(driver, labels.memory, size), reference(scene(*size, 2)))
        assert (step.image, step.labels) == (given, labels)


def test_labels_are_made_on_the_device_where_none_are_given(
    machine: EmulatedMachine, logits: tuple[Segmenter, DeviceFrames]
) -> None:
    _segmenter, frames = logits
    step: Any = frames.bind_device(on_device(machine.driver, scene(*OTHER)))
    told = step.labels.__cuda_array_interface__
    assert (told["shape"], told["typestr"], told["version"]) == (OTHER, "|u1", 3)
    np.testing.assert_array_equal(from_device(machine.driver, step.labels.memory, OTHER), frames(scene(*OTHER)))


def test_the_segmenter_binds_arrays_on_the_device_through_the_frames_it_has(machine: EmulatedMachine) -> None:
    graph, driver = machine.graph(), machine.driver
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference:
        given, labels = on_device(driver, scene(*OTHER)), DeviceArray(driver.allocate(50 * 70), OTHER)
        compiled = driver.counts["compile"]
        step = engine.bind_device(given, labels, overlay=0.5)
        assert (step.image, step.labels, driver.counts["compile"]) == (given, labels, compiled)
        np.testing.assert_array_equal(from_device(driver, labels.memory, OTHER), reference(scene(*OTHER)))
        wanted_labels, wanted = reference.with_overlay(scene(*OTHER))
        laid: Any = step.overlay
        np.testing.assert_array_equal(from_device(driver, laid.memory, (*OTHER, 3)), wanted)
        driver.bytes_at(given.memory.handle, given.memory.size)[...] = scene(*OTHER, 1).ravel()
        step.launch()
        step.wait()
        assert (from_device(driver, labels.memory, OTHER) != wanted_labels).any()
        np.testing.assert_array_equal(from_device(driver, labels.memory, OTHER), reference(scene(*OTHER, 1)))
        step.close()


def test_a_bare_pointer_has_the_graphs_size_or_the_one_that_is_told(
    machine: EmulatedMachine, logits: tuple[Segmenter, DeviceFrames]
) -> None:
    _, frames = logits
    for size, options in ((SIZE, {}), (OTHER, {"size": OTHER})):
        given = on_device(machine.driver, scene(*size))
        machine.driver.synchronize(given.stream)  # type: ignore[attr-defined]
        step: Any = frames.bind_device(given.memory.handle, **options)
        labels = from_device(machine.driver, step.labels.memory, size)
        np.testing.assert_array_equal(labels, frames(scene(*size)))


def test_arrays_that_do_not_fit_are_refused(machine: EmulatedMachine, logits: tuple[Segmenter, DeviceFrames]) -> None:
    _, frames = logits
    given = on_device(machine.driver, scene(*SIZE))
    with pytest.raises(CudaError, match=r"got uint8 \(50, 70\); expected uint8 \(64, 96\)"):
        frames.bind_device(given, DeviceArray(machine.driver.allocate(50 * 70), OTHER))
    with pytest.raises(CudaError, match="expected a pointer, or an object with __dlpack__"):
        frames.bind_device(scene(*SIZE).tolist())


def test_a_graph_that_labels_takes_arrays_of_its_own_size_that_begin_a_block(machine: EmulatedMachine) -> None:
    segmenter, frames = opened(machine.engine(machine.graph("labels")))
    with segmenter:
        with pytest.raises(
            RunnerError, match=r"so the device cannot resize for it; got an image of 50x70; .*64x96, RGB"
        ):
            frames.bind_device(on_device(machine.driver, scene(*OTHER)))
        room = machine.driver.allocate(64 * 96 * 3 + 1)
        with pytest.raises(RunnerError, match=r"only at aligned addresses; .* expected a multiple of 256"):
            frames.bind_device(room.handle + 1)


# The kernels' code


def test_the_kernels_are_compiled_once_for_all_programs(machine: EmulatedMachine) -> None:
    path = machine.engine(machine.graph())
    for _ in range(2):
        with load(path) as engine:
            engine(scene(*SIZE))
    assert machine.driver.counts["compile"] == 1


@pytest.mark.parametrize("content", [b"", b"damaged" * 10, None])
def test_code_in_the_cache_that_is_damaged_or_of_another_driver_is_made_anew(
    machine: EmulatedMachine, content: bytes | None
) -> None:
    foreign = CODE + b"sm_70"
    stored = code_path(machine.driver)
    stored.parent.mkdir(parents=True)
    stored.write_bytes(hashlib.sha256(foreign).digest() + foreign if content is None else content)
    with load(machine.engine(machine.graph())) as engine:
        engine(scene(*SIZE))
    assert machine.driver.counts["compile"] == 1
    assert stored.read_bytes()[32:] == CODE + b"sm_90"


def test_a_cache_that_cannot_be_written_is_done_without(machine: EmulatedMachine) -> None:
    (machine.folder / "cache").write_text("a file where a folder should be")
    with load(machine.engine(machine.graph())) as engine:
        engine(scene(*SIZE))


# The command line


def test_run_labels_pictures_with_an_engine_as_with_its_graph(
    machine: EmulatedMachine, cli: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    graph = machine.graph()
    done = cli("run", machine.engine(graph, gpu="NVIDIA H100"), picture, "-o", tmp_path / "gpu", "--json")
    assert (done.code, json.loads(done.out)["device"]) == (0, f"GPU (NVIDIA H200, sm90, TensorRT {machine.release})")
    assert "the engine was built on NVIDIA H100" in done.err
    assert cli("run", graph, picture, "-o", tmp_path / "cpu", "--threads", "1").code == 0
    (name,) = (path.name for path in (tmp_path / "cpu").glob("*label*.png"))
    labels = [cv2.imread(str(tmp_path / side / name), cv2.IMREAD_UNCHANGED) for side in ("gpu", "cpu")]
    np.testing.assert_array_equal(*labels)


def test_validate_compares_an_engine_with_its_graph(machine: EmulatedMachine, cli: Callable[..., Any]) -> None:
    folder = machine.folder / "pictures"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), scene(*OTHER, index))
    graph = machine.graph()
    done = cli(
        *("validate", machine.engine(graph), "--against", graph, "--data", f"images:{folder}", "--threads", "1"),
        *("--min-agreement", "100", "--json"),
    )
    facts = json.loads(done.out)
    assert done.code == 0, done.err
    assert (facts["candidate"]["runner"], facts["reference"]["runner"]) == ("tensorrt", "onnxruntime")


def test_bench_times_an_engine_at_both_boundaries(machine: EmulatedMachine, cli: Callable[..., Any]) -> None:
    done = cli("bench", machine.engine(machine.graph()), "--seconds", "0.05", "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)["rows"]
    assert [row["boundary"] for row in rows] == ["engine", "frame"]
    assert {row["device"] for row in rows} == {f"GPU (NVIDIA H200, sm90, TensorRT {machine.release})"}
