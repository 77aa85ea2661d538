"""Engines of TensorRT for RTX on an emulated RTX card: its API of each version, its rules, ONNX Runtime inside."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from emulated_gpu.driver import H200, RTX_4090
from emulated_gpu.graphs import CLASS_SPEC, SIZE, write_graph
from emulated_gpu.machine import EmulatedMachine, scene
from emulated_gpu.rtx import HEADER, RtxPlan
from emulated_gpu.tensorrt import SCRATCH, PlanTensor
from tensorrt_api import RTX_VERSIONS

import rtseg
from rtseg.artifacts import read_manifest, write_manifest
from rtseg.cuda.registry import open_cuda
from rtseg.errors import CudaError, EngineError, ManifestError, MissingDependencyError, RtsegError, RunnerError
from rtseg.images.palette import overlay
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.protocol import Array
from rtseg.runners.registry import DEFAULT_RUNNERS, default_runner
from rtseg.runners.tensorrt import TensorRtRunner
from rtseg.runners.tensorrt_context import Lane
from rtseg.runners.tensorrt_resident_steps import DeviceArray
from rtseg.segmenter import load
from rtseg.tensorrt.deserialize import OpenEngine
from rtseg.tensorrt.module import RTX
from rtseg.tensorrt.rtx_runtime import RtxEngine, open_rtx_engine

INTERFACES = ("logits", "scores", "labels")
OTHER = (50, 70)
"""A size that is neither the graphs' nor a multiple of anything."""

NOTHING = ((0, 0, 0), 0)
"""No runtime, no engine, no context, and no byte on the device."""

OF_THE_GPU = "GPU (NVIDIA GeForce RTX 4090, sm89, TensorRT for RTX {})"

versions = pytest.mark.parametrize("version", RTX_VERSIONS)


def tensor(seed: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(seed).standard_normal((1, 3, 64, 96), np.float32).astype(dtype)


def expected(graph: Path, array: Array) -> Array:
    with OnnxRuntimeRunner(graph, threads=1) as runner:
        return runner.infer(array.astype(np.float32))


def spent(machine: EmulatedMachine, work: Callable[[], object]) -> Counter[str]:
    """Return what CUDA was asked for meanwhile."""
    before = machine.driver.counts.copy()
    work()
    return machine.driver.counts - before


def left(machine: EmulatedMachine) -> tuple[tuple[int, int, int], int]:
    """Return what is there of the product's objects, and the bytes on the device."""
    return machine.rtx.alive, machine.driver.used


def runner_of(path: Path, **options: Any) -> TensorRtRunner:
    return TensorRtRunner(path, runtime=RTX, **options)


def refusal(path: Path, kind: type[RtsegError]) -> str:
    """Return why an engine cannot be opened; nothing holds on to the exception."""
    try:
        load(path)
    except kind as error:
        assert type(error) is kind
        return str(error)
    pytest.fail("it was opened")


def bytes_seen(machine: EmulatedMachine) -> list[Any]:
    """Return every call by which the product was given an engine's bytes."""
    asked = ("Runtime.get_engine_validity", "Runtime.deserialize_cuda_engine")
    return [arguments for name in asked for arguments in machine.rtx.recorded.arguments(name)]


# Whole frames


@versions
@pytest.mark.parametrize("interface", INTERFACES)
def test_labels_are_those_of_the_onnx_file_in_every_version(make_rtx: Any, version: str, interface: str) -> None:
    machine = make_rtx(version)
    graph = machine.graph(interface)
    with load(machine.rtx_engine(graph)) as engine, load(graph, threads=1) as reference:
        for size in (SIZE, OTHER, (130, 200), (1, 1)):
            np.testing.assert_array_equal(engine(scene(*size)), reference(scene(*size)))
        assert (engine.runner.backend, engine.runner.notes) == ("tensorrt-rtx", ())
        assert engine.runner.device == OF_THE_GPU.format(machine.rtx.release)


@versions
@pytest.mark.parametrize("interface", INTERFACES)
def test_a_frame_is_one_launch_of_a_graph_and_one_wait_in_every_version(
    make_rtx: Any, version: str, interface: str
) -> None:
    machine = make_rtx(version)
    with load(machine.rtx_engine(machine.graph(interface))) as engine:
        step: Any = engine.bind(scene(*SIZE))
        assert step.graph is not None and machine.driver.counts["capture"] == 1
        assert spent(machine, step) == Counter({"launch graph": 1, "synchronize": 1})


def test_both_kernels_and_the_engine_are_in_the_graph(rtx: EmulatedMachine) -> None:
    with load(rtx.rtx_engine(rtx.graph())) as engine:
        once = spent(rtx, lambda: engine.bind(scene(*OTHER)))
    kernels = {name: count for name, count in once.items() if name.startswith("launch rtseg_")}
    assert set(kernels.values()) == {2} and len(kernels) == 2  # once plainly, once captured
    assert once["execute"] == 2


@pytest.mark.parametrize("eager", [False, True], ids=["late", "at once"])
@pytest.mark.parametrize("interface", INTERFACES)
def test_a_bound_frame_reads_its_image_again_and_is_done_after_wait(make_rtx: Any, interface: str, eager: bool) -> None:
    machine = make_rtx(eager=eager)
    graph = machine.graph(interface)
    with load(machine.rtx_engine(graph)) as engine, load(graph, threads=1) as reference:
        for size in (SIZE, OTHER):
            step: Any = engine.bind(scene(*size, 1))
            np.testing.assert_array_equal(step.labels, reference(scene(*size, 1)))
            step.image[...] = scene(*size, 2)
            step.launch()
            step.wait()
            np.testing.assert_array_equal(step.labels, reference(scene(*size, 2)))


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_overlay_is_the_one_made_on_the_cpu_and_in_the_same_graph(rtx: EmulatedMachine, interface: str) -> None:
    graph = rtx.graph(interface)
    with load(rtx.rtx_engine(graph)) as engine, load(graph, threads=1) as reference:
        step: Any = engine.bind(scene(*SIZE), overlay=0.5)
        step.image[...] = scene(*SIZE, 1)
        assert spent(rtx, step) == Counter({"launch graph": 1, "synchronize": 1})
        wanted = overlay(step.image, reference(scene(*SIZE, 1)), CLASS_SPEC, opacity=0.5)
        np.testing.assert_array_equal(step.overlay, wanted)


@pytest.mark.parametrize(("interface", "size"), [("logits", OTHER), ("scores", OTHER), ("labels", SIZE)])
def test_an_image_on_the_device_is_labelled_where_it_is(
    rtx: EmulatedMachine, interface: str, size: tuple[int, int]
) -> None:
    graph, driver = rtx.graph(interface), rtx.driver
    image = scene(*size)
    memory = driver.allocate(image.nbytes)
    driver.bytes_at(memory.handle, image.nbytes)[...] = image.ravel()
    with load(rtx.rtx_engine(graph)) as engine, load(graph, threads=1) as reference:
        frames: Any = engine.runner.frames(engine.image, engine.output)
        step = frames.bind_device(DeviceArray(memory, image.shape), overlay=0.75)
        assert spent(rtx, step) == Counter({"launch graph": 1, "synchronize": 1})
        labels = driver.bytes_at(step.labels.memory.handle, size[0] * size[1]).reshape(size)
        np.testing.assert_array_equal(labels, reference(image))


@versions
def test_many_threads_on_two_contexts_get_the_labels_of_one(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    graph = machine.graph()
    images = [scene(*size, seed) for seed, size in enumerate([SIZE, OTHER, (40, 90)])]
    with load(machine.rtx_engine(graph)) as engine, load(graph, threads=1) as reference, ThreadPoolExecutor(6) as pool:
        wanted = [reference(image) for image in images]
        for labels, right in zip(pool.map(engine, images * 6), wanted * 6):
            np.testing.assert_array_equal(labels, right)
        assert machine.rtx.alive[2] <= 2


# Tensors


@versions
def test_an_engine_gives_what_its_graph_gives_in_every_version(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    graph = machine.graph()
    with runner_of(machine.rtx_engine(graph)) as runner:
        np.testing.assert_array_equal(runner.infer(tensor(1)), expected(graph, tensor(1)))
        step = runner.bind(tensor(2))
        step()
        np.testing.assert_array_equal(step.output, expected(graph, tensor(2)))


def test_the_engine_alone_runs_on_the_array_it_was_bound_to(rtx: EmulatedMachine) -> None:
    graph = rtx.graph()
    with runner_of(rtx.rtx_engine(graph)) as runner:
        step = runner.bind_device(tensor(3))
        assert spent(rtx, step) == Counter({"launch graph": 1, "synchronize": 1})
        result = rtx.driver.bytes_at(step.lane.output.handle, step.lane.output.size)
        wanted = expected(graph, tensor(3))
        np.testing.assert_array_equal(result.view(np.float32).reshape(wanted.shape), wanted)


@pytest.mark.parametrize("form", ["LINEAR", "HWC8"])
def test_half_precision_and_channels_that_lie_together_are_taken(rtx: EmulatedMachine, form: str) -> None:
    graph = rtx.graph()
    path = rtx.rtx_engine(graph, source=PlanTensor("HALF"), result=PlanTensor("HALF", form))
    with runner_of(path) as runner:
        array = tensor(1, "float16")
        np.testing.assert_array_equal(runner.infer(array), expected(graph, array).astype(np.float16))


# Why a run can be captured


def test_the_products_own_graphs_are_off_and_the_memory_is_ours(rtx: EmulatedMachine) -> None:
    with load(rtx.rtx_engine(rtx.graph())):
        settings = rtx.rtx.recorded
        assert settings.set["IRuntimeConfig.cuda_graph_strategy"].name == "DISABLED"
        ((strategy,),) = settings.arguments("IRuntimeConfig.set_execution_context_allocation_strategy")
        assert strategy.name == "USER_MANAGED"
        assert all(len(arguments) == 1 for arguments in settings.arguments("ICudaEngine.create_execution_context"))


@versions
@pytest.mark.parametrize("ours", [True, False], ids=["our settings", "no settings"])
@pytest.mark.parametrize("required", [True, False], ids=["REQUIRE_USER_ALLOCATION", "no flag"])
def test_a_run_can_be_captured_because_of_our_settings_and_the_builders_flag_alone(
    make_rtx: Any, version: str, ours: bool, required: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make_rtx(version)
    graph = machine.graph()
    monkeypatch.setattr(Lane, "why_not_captured", lambda lane: "")  # nobody asks the product
    if not ours:
        monkeypatch.setattr(RtxEngine, "new_context", OpenEngine.new_context)
    plan = RtxPlan(machine.rtx.release, user_allocation=required)
    with runner_of(machine.rtx_engine(graph, plan)) as runner:
        if ours and required:
            step = runner.bind(tensor(1))
        else:
            with pytest.warns(RuntimeWarning, match="slower: TensorRT for RTX could not run .* not enough GPU memory"):
                step = runner.bind(tensor(1))
        assert (step.graph is not None) == (ours and required)
        step()
        np.testing.assert_array_equal(step.output, expected(graph, tensor(1)))


@versions
def test_an_engine_that_takes_memory_while_it_runs_is_not_captured_but_runs_and_warns(
    make_rtx: Any, version: str
) -> None:
    machine = make_rtx(version)
    graph = machine.graph()
    plan = RtxPlan(machine.rtx.release, user_allocation=False)
    with load(machine.rtx_engine(graph, plan)) as engine, load(graph, threads=1) as reference:
        with pytest.warns(RuntimeWarning, match="TensorRT for RTX says that this engine allocates memory while it ru"):
            step: Any = engine.bind(scene(*OTHER))
        assert step.graph is None and "allocates memory" in step.why_no_graph
        assert machine.driver.counts["capture"] == 0
        once = spent(machine, step)
        assert (once["launch graph"], once["execute"], once["synchronize"]) == (0, 1, 1)
        np.testing.assert_array_equal(step.labels, reference(scene(*OTHER)))


def test_where_cuda_has_no_graphs_each_run_makes_the_same_calls(make_rtx: Any) -> None:
    machine = make_rtx(captures=False)
    graph = machine.graph()
    with load(machine.rtx_engine(graph)) as engine, load(graph, threads=1) as reference:
        step: Any = engine.bind(scene(*OTHER, 1))
        step.image[...] = scene(*OTHER, 2)
        assert step.graph is None
        once = spent(machine, step)
        assert (once["execute"], once["synchronize"], once["launch graph"]) == (1, 1, 0)
        np.testing.assert_array_equal(step.labels, reference(scene(*OTHER, 2)))


def test_whether_a_run_can_be_captured_is_asked_of_the_stream_that_will_be(rtx: EmulatedMachine) -> None:
    with runner_of(rtx.rtx_engine(rtx.graph())) as runner:
        step = runner.bind(tensor(1))
        assert rtx.rtx.recorded.arguments("IExecutionContext.is_stream_capturable")[-1] == (step.stream.handle,)


# Memory


@pytest.mark.parametrize("scratch", [0, 256, SCRATCH])
def test_each_running_context_has_scratch_memory_of_its_own(rtx: EmulatedMachine, scratch: int) -> None:
    path = rtx.rtx_engine(rtx.graph(), RtxPlan(rtx.rtx.release, scratch=scratch))
    with runner_of(path) as runner:
        lane = sum(int(np.prod(spec.shape)) * 4 for spec in (runner.input, runner.output))
        before = rtx.driver.used
        steps = [runner.bind(tensor(seed)) for seed in range(3)]
        assert rtx.driver.used - before == 3 * (lane + scratch)
        given = rtx.rtx.recorded.arguments("IExecutionContext.set_device_memory")
        assert [size for _, size in given] == ([scratch] * 4 if scratch else [])
        assert len({pointer for pointer, _ in given}) == len(given)
        for step in steps:
            step.close()
        assert rtx.driver.used == before


def test_steps_may_run_at_once_for_none_writes_the_scratch_memory_of_another(rtx: EmulatedMachine) -> None:
    graph = rtx.graph()
    arrays = [tensor(seed) for seed in range(4)]
    with runner_of(rtx.rtx_engine(graph)) as runner, ThreadPoolExecutor(4) as pool:
        steps = [runner.bind(array) for array in arrays]
        list(pool.map(lambda step: [step() for _ in range(10)], steps))
        for step, array in zip(steps, arrays):
            np.testing.assert_array_equal(step.output, expected(graph, array))


def no_memory(context: Any, memory: Any, size: int) -> list[Any]:
    return []


def too_little_memory(context: Any, memory: Any, size: int) -> list[Any]:
    context.set_device_memory(memory.handle, size - 1)
    return [memory]


def memory_that_begins_anywhere(context: Any, memory: Any, size: int) -> list[Any]:
    context.set_device_memory(memory.handle + 8, size)
    return [memory]


def memory_that_is_gone(context: Any, memory: Any, size: int) -> list[Any]:
    context.set_device_memory(memory.handle, size)
    memory.close()
    return []


@versions
@pytest.mark.parametrize("given", [no_memory, too_little_memory, memory_that_begins_anywhere, memory_that_is_gone])
def test_a_context_without_the_memory_that_it_needs_refuses_to_run(
    make_rtx: Any, version: str, given: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make_rtx(version)
    kept: list[Any] = []

    def new_context(opened: RtxEngine, allocate: object) -> Any:
        context = opened.engine.create_execution_context(opened._config)
        kept.extend(given(context, machine.driver.allocate(opened.scratch_bytes), opened.scratch_bytes))
        return context

    monkeypatch.setattr(RtxEngine, "new_context", new_context)
    told = refusal(machine.rtx_engine(machine.graph()), RunnerError)
    assert told.startswith("TensorRT for RTX could not run the engine") and "; got from TensorRT: " in told


# Closing


@versions
def test_closing_frees_every_byte_on_the_device(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    with load(machine.rtx_engine(machine.graph())) as engine:
        engine(scene(*SIZE))
        step: Any = engine.bind(scene(*OTHER), overlay=0.5)
        assert machine.driver.used > 2 * SCRATCH
        step.close()
        del step
    del engine
    assert left(machine) == NOTHING


def test_a_bound_step_lives_on_and_then_takes_everything_with_it(rtx: EmulatedMachine) -> None:
    graph = rtx.graph()
    with runner_of(rtx.rtx_engine(graph)) as runner:
        step = runner.bind(tensor(1))
    del runner
    gc.collect()
    step.input[...] = tensor(2)
    step()
    np.testing.assert_array_equal(step.output, expected(graph, tensor(2)))
    del step
    assert left(rtx) == NOTHING
    assert rtx.rtx.too_early == []  # the configuration and the cache went after the context


@pytest.mark.parametrize("product", ["tensorrt", "tensorrt-rtx"])
def test_a_runner_that_nobody_closes_leaves_nothing_once_it_is_dropped(make_machine: Any, product: str) -> None:
    machine = make_machine(rtx="rtx-1.7", device=RTX_4090)
    graph = machine.graph()
    runner = TensorRtRunner(
        machine.engine(graph) if product == "tensorrt" else machine.rtx_engine(graph), runtime=product
    )
    runner.open()
    runner.infer(tensor(1))
    del runner
    gc.collect()  # a lane and the steps that it keeps refer to each other
    assert machine.tensorrt.alive == (0, 0, 0)
    assert left(machine) == NOTHING
    assert machine.rtx.too_early == []


def test_a_runner_opened_again_gives_the_same_results(rtx: EmulatedMachine) -> None:
    graph = rtx.graph()
    runner = runner_of(rtx.rtx_engine(graph))
    for _ in range(2):
        with runner:
            np.testing.assert_array_equal(runner.infer(tensor(1)), expected(graph, tensor(1)))
        assert left(rtx) == NOTHING


def test_both_products_run_side_by_side_in_one_process(make_machine: Any) -> None:
    machine = make_machine(rtx="rtx-1.7", device=RTX_4090)
    graph = machine.graph()
    with load(machine.engine(graph)) as one, load(machine.rtx_engine(graph)) as other:
        np.testing.assert_array_equal(one(scene(*OTHER)), other(scene(*OTHER)))
        assert (one.runner.backend, other.runner.backend) == ("tensorrt", "tensorrt-rtx")
        words = "TensorRT could not run .*: Cask", "TensorRT for RTX could not run .*: Cask"
        for product, segmenter, told in zip((machine.tensorrt, machine.rtx), (one, other), words):
            product.refuses_to_run = True
            with pytest.raises(RunnerError, match=told):
                segmenter.bind(scene(*OTHER))


# Failures while opening


def out_of_memory_for(purpose: str, free: int) -> Any:
    """Return a case: memory of the device, and what it does not suffice for."""
    return pytest.param(
        free, rf"not enough GPU memory for {purpose}; got \d\.\d MiB free; .*Try: fewer con", id=purpose
    )


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        out_of_memory_for("the engine's input", 73_000),
        out_of_memory_for("the engine's output", 80_000),
        out_of_memory_for("the engine's scratch memory", 120_000),
        pytest.param(
            50_000, "cannot load the engine: the GPU has not enough memory; got INSUF.*Try: a smaller", id="all"
        ),
    ],
)
def test_want_of_memory_is_one_line_and_leaves_nothing_on_the_device(
    make_rtx: Any, memory: int, told: str, refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    machine = make_rtx(device=replace(RTX_4090, memory=memory))
    path = machine.rtx_engine(machine.graph())
    assert re.search(told, refusal(path, RunnerError if "memory for" in told else EngineError))
    assert left(machine) == NOTHING
    assert re.search(told, refused("run", path, picture, "-o", tmp_path / "out"))


def test_a_second_context_without_room_leaves_the_first_one_working(make_rtx: Any) -> None:
    machine = make_rtx(device=replace(RTX_4090, memory=220_000))
    with runner_of(machine.rtx_engine(machine.graph())) as runner:
        with pytest.raises(RunnerError, match="not enough GPU memory for the engine's "):
            runner.bind(tensor(0))
        runner.infer(tensor(0))


@pytest.mark.parametrize(
    ("obstacle", "kind", "told"),
    [
        (
            "cannot_start",
            RunnerError,
            r"TensorRT for RTX cannot start its runtime: there is no NVIDIA driver, or one too",
        ),
        (
            "cannot_read_gpu",
            EngineError,
            r"cannot load the engine: there is no NVIDIA driver, or one too old .*nvidia-smi",
        ),
        ("refuses_to_run", RunnerError, r"TensorRT for RTX could not run the engine; got from TensorRT: Cask"),
    ],
)
def test_what_fails_while_opening_is_one_line_and_leaves_nothing_on_the_device(
    rtx: EmulatedMachine,
    obstacle: str,
    kind: type[RtsegError],
    told: str,
    refused: Callable[..., str],
    picture: Path,
    tmp_path: Path,
) -> None:
    path = rtx.rtx_engine(rtx.graph())
    setattr(rtx.rtx, obstacle, True)
    assert re.search(told, refusal(path, kind))
    assert left(rtx) == NOTHING
    assert re.search(told, refused("run", path, picture, "-o", tmp_path / "out"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source": PlanTensor("INT32")}, "tensor image cannot be used; got INT32; expected FLOAT, HALF or UINT8"),
        ({"result": PlanTensor("HALF", "CHW32")}, "tensor logits cannot be used; got Format of logits: CHW32"),
        ({"extra_outputs": 1}, "another number of inputs and outputs; got 1 and 2; expected 1 and 1"),
    ],
)
def test_an_engine_of_another_make_is_refused_and_leaves_nothing_on_the_device(
    rtx: EmulatedMachine, options: dict[str, Any], told: str
) -> None:
    assert told in refusal(rtx.rtx_engine(rtx.graph(), **options), RunnerError)
    assert left(rtx) == NOTHING


# Refused before the product sees a byte


PORTABLE = ((8, 6), (8, 9), (12, 0), (12, 1))


@versions
def test_an_engine_whose_manifest_tells_of_another_release_is_refused_unseen(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    path = machine.rtx_engine(machine.graph(), tensorrt_rtx="1.3.0.35")
    told = refusal(path, RunnerError)
    assert told.startswith(
        "the engine is of another version of TensorRT for RTX; got 1.3.0.35 in its manifest; expected "
    )
    assert "Try: rtseg build ONNX --runtime tensorrt-rtx --precision fp32" in told
    assert bytes_seen(machine) == []


@versions
def test_an_engine_whose_bytes_tell_of_another_release_is_refused_unseen(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    path = machine.rtx_engine(machine.graph(), RtxPlan("1.3.0.35"), tensorrt_rtx=machine.rtx.release)
    told = refusal(path, RunnerError)
    assert told.startswith(
        "the file is no engine of this release of TensorRT for RTX; got 1.3.0 in its bytes 24 to 26; "
    )
    assert bytes_seen(machine) == []


@pytest.mark.parametrize("content", [b"", b"short", b"not an engine, but long enough to be one" * 10])
def test_a_file_that_is_no_engine_is_refused_unseen(rtx: EmulatedMachine, content: bytes) -> None:
    path = rtx.rtx_engine(rtx.graph())
    manifest = read_manifest(path, kind="engine")
    path.write_bytes(content)
    write_manifest(path, manifest)
    assert "no engine of this release of TensorRT for RTX" in refusal(path, RunnerError)
    assert bytes_seen(rtx) == []


def test_an_engine_that_was_altered_is_refused_unseen(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph())
    content = bytearray(path.read_bytes())
    content[HEADER + 500] ^= 1
    path.write_bytes(content)
    assert "is not the file its manifest tells of" in refusal(path, ManifestError)
    assert bytes_seen(rtx) == []


ADA, HOPPER, BLACKWELL = RTX_4090, H200, replace(RTX_4090, name="NVIDIA GeForce RTX 5090", compute_capability=(12, 0))


@versions
@pytest.mark.parametrize(
    ("gpu", "listed", "portable", "expected_ones"),
    [
        pytest.param(ADA, ((8, 6),), False, "8.6", id="an engine for Ampere on Ada"),
        pytest.param(ADA, ((12, 0),), False, "12.0", id="an engine for Blackwell on Ada"),
        pytest.param(ADA, ((7, 5),), False, "7.5", id="an engine for Turing on Ada"),
        pytest.param(BLACKWELL, ((8, 9),), False, "8.9", id="an engine for Ada on Blackwell"),
        pytest.param(HOPPER, PORTABLE, True, "8.6, 8.9, 12.0, 12.1 or newer", id="a portable engine on Hopper"),
    ],
)
def test_an_engine_for_other_gpus_is_refused_unseen(
    make_rtx: Any, version: str, gpu: Any, listed: Any, portable: bool, expected_ones: str
) -> None:
    machine = make_rtx(version, device=gpu)
    path = machine.rtx_engine(machine.graph(), RtxPlan(machine.rtx.release, listed, portable))
    here = "{}.{}".format(*gpu.compute_capability)
    told = refusal(path, RunnerError)
    assert told.startswith(f"the engine is for other GPUs; got {gpu.name} of compute capability {here}; ")
    assert f"expected {expected_ones}. Try: rtseg build ONNX --runtime tensorrt-rtx" in told
    assert f"--compute-capability {here}" in told
    assert bytes_seen(machine) == []


@pytest.mark.parametrize(("listed", "portable"), [(((8, 6), (8, 9)), False), (PORTABLE, True)])
def test_an_engine_for_several_kinds_of_gpu_runs_on_each_without_a_note(
    rtx: EmulatedMachine, listed: Any, portable: bool
) -> None:
    with load(rtx.rtx_engine(rtx.graph(), RtxPlan(rtx.rtx.release, listed, portable))) as engine:
        assert engine.runner.notes == ()


@versions
def test_a_portable_engine_runs_on_a_newer_gpu_with_one_note(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version, device=BLACKWELL)
    graph = machine.graph()
    path = machine.rtx_engine(graph, RtxPlan(machine.rtx.release, ((8, 6), (8, 9)), portable=True))
    with load(path) as engine, load(graph, threads=1) as reference:
        (note,) = engine.runner.notes
        assert note.startswith("the engine was not compiled for compute capability 12.0: the driver does that when it")
        np.testing.assert_array_equal(engine(scene(*OTHER)), reference(scene(*OTHER)))


# What the product says of an engine


@versions
@pytest.mark.parametrize(
    ("bit", "told"),
    [
        (
            "VERSION_MISMATCH",
            "it is of another release; got VERSION_MISMATCH. Try: rtseg build again, with the release",
        ),
        (
            "UNSUPPORTED_CC",
            "it is not for this GPU; got UNSUPPORTED_CC. Try: rtseg build --runtime tensorrt-rtx --comp",
        ),
        ("OLD_CUDA_DRIVER", "the NVIDIA driver is too old; got OLD_CUDA_DRIVER. Try: a newer driver: nvidia-smi tells"),
        ("OLD_CUDA_RUNTIME", "the CUDA runtime is too old; got OLD_CUDA_RUNTIME. Try: pip install --upgrade tensorrt-"),
        ("INSUFFICIENT_GPU_MEMORY", "the GPU has not enough memory; got INSUFFICIENT_GPU_MEMORY. Try: a smaller res"),
        ("MALFORMED_ENGINE", "it is damaged, or no engine; got MALFORMED_ENGINE. Try: rtseg build again"),
        ("CUDA_ERROR", "CUDA cannot be used; got CUDA_ERROR. Try: nvidia-smi, which says whether driver and GPU are"),
    ],
)
def test_each_diagnostic_is_one_line_with_what_to_try(
    make_rtx: Any, version: str, bit: str, told: str, refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    machine = make_rtx(version)
    path = machine.rtx_engine(machine.graph())
    machine.rtx.verdict = "INVALID", int(getattr(machine.rtx.module.EngineInvalidityDiagnostics, bit))
    message = refused("run", path, picture, "-o", tmp_path / "out")
    assert message.startswith(f"TensorRT for RTX cannot load the engine: {told}")
    assert machine.rtx.recorded.arguments("Runtime.deserialize_cuda_engine") == []
    assert refusal(path, EngineError) == message


def test_every_diagnostic_that_any_version_has_is_known(make_rtx: Any) -> None:
    for version in RTX_VERSIONS:
        machine = make_rtx(version)
        path = machine.rtx_engine(machine.graph())
        for name, bit in machine.rtx.module.EngineInvalidityDiagnostics.__members__.items():
            machine.rtx.verdict = "INVALID", int(bit)
            assert f"got {name}. Try: " in refusal(path, EngineError)


def test_several_diagnostics_are_told_in_one_line(rtx: EmulatedMachine) -> None:
    rtx.rtx.verdict = "INVALID", 1 + 4
    told = (
        "cannot load the engine: it is of another release, and the NVIDIA driver is too old; got VERSION_MISMATCH and "
    )
    assert told in refusal(rtx.rtx_engine(rtx.graph()), EngineError)


def test_an_engine_that_is_invalid_without_a_diagnostic_is_told_in_the_products_words(rtx: EmulatedMachine) -> None:
    rtx.rtx.verdict = "INVALID", 0
    told = "TensorRT for RTX cannot load the engine; got from TensorRT: no message. Try: nvidia-smi"
    assert refusal(rtx.rtx_engine(rtx.graph()), EngineError).startswith(told)


def test_an_engine_that_is_said_to_be_suboptimal_runs_with_a_note(rtx: EmulatedMachine) -> None:
    rtx.rtx.verdict = "SUBOPTIMAL", 0
    with load(rtx.rtx_engine(rtx.graph())) as engine:
        (note,) = engine.runner.notes
        assert note.startswith("TensorRT for RTX says that the engine may be slow on this GPU")


def test_an_engine_that_cannot_be_configured_is_one_line(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph())
    rtx.rtx.recorded.answers["ICudaEngine.create_runtime_config"] = lambda engine: None
    assert refusal(path, EngineError).startswith(
        "TensorRT for RTX cannot configure the engine; got from TensorRT: no mes"
    )
    assert left(rtx) == NOTHING


def test_a_context_that_the_product_will_not_make_is_one_line(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph())
    rtx.rtx.recorded.answers["ICudaEngine.create_execution_context"] = lambda engine, config: None
    told = refusal(path, RunnerError)
    assert told.startswith(
        "TensorRT for RTX cannot make an execution context, which takes 0.1 MiB where 63.9 MiB are free"
    )
    assert left(rtx) == NOTHING


def test_an_engine_that_is_said_to_be_valid_and_is_refused_all_the_same_is_one_line(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph(), RtxPlan(rtx.rtx.release, ((12, 0),)), compute_capabilities=["8.9"])
    rtx.rtx.verdict = "VALID", 0
    told = refusal(path, EngineError)
    assert told.startswith("TensorRT for RTX refuses the engine; got from TensorRT: ")
    assert told.endswith("Try: rtseg build again, with the release of TensorRT for RTX that is installed here")


# Which runner


def test_the_manifest_says_which_product_runs_an_engine(make_machine: Any) -> None:
    machine = make_machine(rtx="rtx-1.7", device=RTX_4090)
    graph = machine.graph()
    for path, name in ((machine.engine(graph), "tensorrt"), (machine.rtx_engine(graph), "tensorrt-rtx")):
        assert default_runner(read_manifest(path, kind="engine")) == name
        with rtseg.load(path) as engine:
            assert engine.runner.backend == name
    assert default_runner(read_manifest(graph, kind="onnx")) == DEFAULT_RUNNERS["onnx"]


@pytest.mark.parametrize("asked", ["tensorrt", "tensorrt-pycuda", "tensorrt-rtx"])
def test_the_runner_of_the_other_product_is_refused_with_the_one_that_fits(
    make_machine: Any, asked: str, refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    machine = make_machine(rtx="rtx-1.7", device=RTX_4090)
    if asked == "tensorrt-rtx":
        path, told = machine.engine(machine.graph()), "TensorRT for RTX; got one of TensorRT. Try: --runner tensorrt"
    else:
        path, told = (
            machine.rtx_engine(machine.graph()),
            "TensorRT; got one of TensorRT for RTX. Try: --runner tensorrt-rtx",
        )
    assert (
        refused("run", path, picture, "--runner", asked, "-o", tmp_path / "out") == f"the engine is not one of {told}"
    )
    assert bytes_seen(machine) == machine.tensorrt.recorded.arguments("Runtime.deserialize_cuda_engine") == []


def test_a_runner_of_another_kind_of_file_is_refused_with_every_runner_of_engines(
    rtx: EmulatedMachine, refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    path = rtx.rtx_engine(rtx.graph())
    told = refused("run", path, picture, "--runner", "openvino", "-o", tmp_path / "out")
    assert told.endswith("Try: --runner tensorrt or tensorrt-pycuda or tensorrt-rtx")


def test_run_labels_pictures_with_an_engine_as_with_its_graph(
    rtx: EmulatedMachine, cli: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    graph = rtx.graph()
    for path, name in ((rtx.rtx_engine(graph), "gpu"), (graph, "cpu")):
        assert cli("run", path, picture, "-o", tmp_path / name, "--threads", "1").code == 0
    files = [sorted((tmp_path / name).glob("*.png")) for name in ("gpu", "cpu")]
    assert [one.read_bytes() for one in files[0]] == [one.read_bytes() for one in files[1]] != []


def test_validate_compares_an_engine_with_its_graph(rtx: EmulatedMachine, cli: Callable[..., Any]) -> None:
    folder, graph = rtx.folder / "pictures", rtx.graph()
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), scene(*OTHER, index))
    done = cli(
        *("validate", rtx.rtx_engine(graph), "--against", graph, "--data", f"images:{folder}", "--threads", "1"),
        *("--min-agreement", "100", "--json"),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["candidate"]["runner"] == "tensorrt-rtx"


def test_bench_times_an_engine_at_both_boundaries(rtx: EmulatedMachine, cli: Callable[..., Any]) -> None:
    done = cli("bench", rtx.rtx_engine(rtx.graph()), "--seconds", "0.05")
    assert done.code == 0 and OF_THE_GPU.format(rtx.rtx.release) in done.out, done.err


# The real product, on a machine without a driver


@pytest.fixture(scope="module")
def real_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An engine that NVIDIA's own compiler built here."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")
    folder = tmp_path_factory.mktemp("real")
    graph, path = write_graph(folder / "small.onnx"), folder / "x.engine"
    command = [sys.executable, "-m", "rtseg", "build", graph, "--runtime", "tensorrt-rtx", "-o", path]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    yield path


@pytest.fixture
def no_driver() -> None:
    """Skip where there is a GPU after all."""
    try:
        open_cuda()
    except (CudaError, MissingDependencyError):
        return
    pytest.skip("this machine has an NVIDIA driver and a GPU")


def test_a_real_engine_without_a_driver_is_refused_in_one_line_about_it(
    real_engine: Path, no_driver: None, refused_process: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    with pytest.raises((CudaError, MissingDependencyError)) as raised:
        rtseg.load(real_engine)
    assert re.search("CUDA|cuda", str(raised.value))
    assert refused_process("run", real_engine, picture, "-o", tmp_path / "out") == str(raised.value)


def test_the_real_product_without_a_driver_tells_of_it_in_one_line(real_engine: Path, no_driver: None) -> None:
    import tensorrt_rtx

    with pytest.raises(EngineError) as raised:
        open_rtx_engine(tensorrt_rtx, real_engine.read_bytes(), "none", "0" * 64)
    told = str(raised.value)
    assert told.startswith("TensorRT for RTX cannot load the engine: there is no NVIDIA driver, or one too old for")
    assert "\n" not in told and "Try: nvidia-smi" in told


def test_the_real_product_calls_junk_malformed(no_driver: None) -> None:
    tensorrt_rtx = pytest.importorskip("tensorrt_rtx")
    with pytest.raises(EngineError, match="it is damaged, or no engine; got MALFORMED_ENGINE"):
        open_rtx_engine(tensorrt_rtx, b"junk" * 100, "none", "0" * 64)


def test_real_engines_have_the_header_that_the_emulated_ones_have(real_engine: Path, rtx: EmulatedMachine) -> None:
    made = rtx.rtx_engine(rtx.graph()).read_bytes()
    real = real_engine.read_bytes()
    release = read_manifest(real_engine, kind="engine").details["tensorrt_rtx"]
    for content, numbers in ((real, release), (made, rtx.rtx.release)):
        assert content[:4] == b"vtrt"
        assert int.from_bytes(content[16:24], "little") == len(content)
        assert tuple(content[24:27]) == tuple(map(int, numbers.split(".")[:3]))
