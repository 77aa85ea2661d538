"""Engines of TensorRT for RTX on an emulated RTX card: its API of each version, its rules, ONNX Runtime inside."""

from __future__ import annotations

import gc
import json
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rtseg
from rtseg.artifacts.manifest import read_manifest
from rtseg.errors import RunnerError, UnknownNameError
from rtseg.frame.palette import overlay
from rtseg.runners.loading import load
from rtseg.runners.registry import DEFAULT_RUNNERS, default_runner
from rtseg.runners.tensorrt.deserialize import OpenEngine
from rtseg.runners.tensorrt.lanes import Lane
from rtseg.runners.tensorrt.module import RTX
from rtseg.runners.tensorrt.resident_steps import DeviceArray
from rtseg.runners.tensorrt.rtx_runtime import RtxEngine
from rtseg.runners.tensorrt.runner import TensorRtRunner
from tests.contracts.tensorrt_api import RTX_VERSIONS
from tests.emulated_gpu.driver import RTX_4090
from tests.emulated_gpu.graphs import CLASS_SPEC, SIZE
from tests.emulated_gpu.machine import EmulatedMachine, refusal, scene
from tests.emulated_gpu.rtx import NOTHING, RtxPlan
from tests.emulated_gpu.runs import expected, spent, tensor
from tests.emulated_gpu.tensorrt import SCRATCH, PlanTensor

INTERFACES = ("logits", "scores", "labels")
OTHER = (50, 70)
"""A size that is neither the graphs' nor a multiple of anything."""

OF_THE_GPU = "GPU (NVIDIA GeForce RTX 4090, sm89, TensorRT for RTX {})"

versions = pytest.mark.parametrize("version", RTX_VERSIONS)


def runner_of(path: Path, **options: Any) -> TensorRtRunner:
    return TensorRtRunner(path, runtime=RTX, **options)


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
        step = runner.bind_resident(tensor(3))
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
    make_rtx: Any, version: str, ours: bool, required: bool, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    machine = make_rtx(version)
    graph = machine.graph()
    monkeypatch.setattr(Lane, "why_not_captured", lambda lane: "")  # nobody asks the product
    if not ours:
        monkeypatch.setattr(RtxEngine, "new_context", OpenEngine.new_context)
    plan = RtxPlan(machine.rtx.release, user_allocation=required)
    with runner_of(machine.rtx_engine(graph, plan)) as runner:
        step = runner.bind(tensor(1))
        if not (ours and required):
            assert re.search("slower: TensorRT for RTX could not run .* not enough GPU memory", warned.pop())
        assert (step.graph is not None) == (ours and required)
        step()
        np.testing.assert_array_equal(step.output, expected(graph, tensor(1)))


@versions
def test_an_engine_that_takes_memory_while_it_runs_is_not_captured_but_runs_and_warns(
    make_rtx: Any, version: str, warned: list[str]
) -> None:
    machine = make_rtx(version)
    graph = machine.graph()
    plan = RtxPlan(machine.rtx.release, user_allocation=False)
    with load(machine.rtx_engine(graph, plan)) as engine, load(graph, threads=1) as reference:
        step: Any = engine.bind(scene(*OTHER))
        assert "TensorRT for RTX says that this engine allocates memory while it runs" in warned.pop()
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
    assert machine.rtx.left == NOTHING


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
    assert rtx.rtx.left == NOTHING
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
    assert machine.rtx.left == NOTHING
    assert machine.rtx.too_early == []


def test_a_runner_opened_again_gives_the_same_results(rtx: EmulatedMachine) -> None:
    graph = rtx.graph()
    runner = runner_of(rtx.rtx_engine(graph))
    for _ in range(2):
        with runner:
            np.testing.assert_array_equal(runner.infer(tensor(1)), expected(graph, tensor(1)))
        assert rtx.rtx.left == NOTHING


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


def test_a_second_context_without_room_leaves_the_first_one_working(make_rtx: Any) -> None:
    machine = make_rtx(device=replace(RTX_4090, memory=220_000))
    with runner_of(machine.rtx_engine(machine.graph())) as runner:
        with pytest.raises(RunnerError, match="not enough GPU memory for the engine's "):
            runner.bind(tensor(0))
        runner.infer(tensor(0))


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
        path, told = (
            machine.engine(machine.graph()),
            "TensorRT for RTX; got one built with TensorRT. Try: use --runner tensorrt",
        )
    else:
        path, told = (
            machine.rtx_engine(machine.graph()),
            "TensorRT; got one built with TensorRT for RTX. Try: use --runner tensorrt-rtx",
        )
    assert (
        refused("run", path, picture, "--runner", asked, "-o", tmp_path / "out")
        == f"the engine was not built with {told}"
    )
    assert machine.rtx.seen == machine.tensorrt.recorded.arguments("Runtime.deserialize_cuda_engine") == []


def test_an_engine_of_a_product_that_is_not_known_yet_asks_for_a_newer_rtseg(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph(), runtime="tensorrt-next")
    told = refusal(path, RunnerError)
    assert (
        told == "the engine was not built with TensorRT; got one built with tensorrt-next. Try: install a newer rtseg"
    )


def test_a_product_that_does_not_exist_is_refused_with_the_closest_one() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown runtime; got 'tensorrt_rtx'; expected .*Try: use 'tensorrt-rtx'"
    ):
        TensorRtRunner("any.engine", runtime="tensorrt_rtx")


def test_a_runner_of_another_kind_of_file_is_refused_with_every_runner_of_engines(
    rtx: EmulatedMachine, refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    path = rtx.rtx_engine(rtx.graph())
    told = refused("run", path, picture, "--runner", "openvino", "-o", tmp_path / "out")
    assert told.endswith("Try: use --runner tensorrt or tensorrt-pycuda or tensorrt-rtx")


# The command line


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
