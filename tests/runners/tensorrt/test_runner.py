"""The runner of engines on an emulated GPU: TensorRT's API of each version, CUDA's rules, ONNX Runtime inside."""

from __future__ import annotations

import gc
import re
import sys
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest, write_manifest
from rtseg.errors import EngineError, ManifestError, RunnerError
from rtseg.runners.tensorrt.messages import LogRecord, tensorrt_logger
from rtseg.runners.tensorrt.runner import TensorRtRunner
from tests.contracts.tensorrt_api import VERSIONS
from tests.emulated_gpu.driver import H200
from tests.emulated_gpu.machine import EmulatedMachine
from tests.emulated_gpu.runs import expected, spent, tensor
from tests.emulated_gpu.tensorrt import PlanTensor

HALF = PlanTensor("HALF")


# Running


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_gives_what_its_graph_gives_in_every_version(make_machine: Any, version: str) -> None:
    machine = make_machine(version=version)
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph)) as runner:
        np.testing.assert_array_equal(runner.infer(tensor(1)), expected(graph, tensor(1)))
        step = runner.bind(tensor(2))
        step()
        np.testing.assert_array_equal(step.output, expected(graph, tensor(2)))
        assert runner.device == f"GPU (NVIDIA H200, sm90, TensorRT {machine.release})"
        assert runner.metadata is None


def test_the_driver_can_be_had_while_it_is_open(machine: EmulatedMachine) -> None:
    runner = TensorRtRunner(machine.engine(machine.graph()))
    with pytest.raises(RunnerError, match="not open"):
        _ = runner.driver
    with runner:
        assert runner.driver is machine.driver
    with pytest.raises(RunnerError, match="not open"):
        _ = runner.input


def test_an_engine_in_half_precision_takes_and_gives_float16(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph, source=HALF, result=HALF)) as runner:
        assert (runner.input.dtype, runner.output.dtype) == ("float16", "float16")
        array = tensor(1, "float16")
        np.testing.assert_array_equal(runner.infer(array), expected(graph, array).astype(np.float16))


@pytest.mark.parametrize("form", ["HWC", "HWC8", "HWC16"])
def test_an_output_whose_channels_lie_together_is_given_as_planes(machine: EmulatedMachine, form: str) -> None:
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph, result=PlanTensor("FLOAT", form))) as runner:
        result = runner.infer(tensor(1))
        np.testing.assert_array_equal(result, expected(graph, tensor(1)))
        assert result.flags.c_contiguous
        step = runner.bind(tensor(2))
        step()
        np.testing.assert_array_equal(step.output, expected(graph, tensor(2)))


# Buffers, graphs, threads


def test_everything_is_made_once(machine: EmulatedMachine) -> None:
    with TensorRtRunner(machine.engine(machine.graph())) as runner:
        runner.infer(tensor(0))
        again = spent(machine, lambda: [runner.infer(tensor(seed)) for seed in range(5)])
    assert again == Counter({"launch graph": 5, "synchronize": 5, "active": 5})


def test_a_step_is_one_launch_of_a_graph_and_one_wait_and_nothing_else(machine: EmulatedMachine) -> None:
    with TensorRtRunner(machine.engine(machine.graph())) as runner:
        for step in (runner.bind(tensor(0)), runner.bind_resident()):
            assert step.graph is not None
            assert spent(machine, step) == Counter({"launch graph": 1, "synchronize": 1})


@pytest.mark.parametrize("eager", [False, True], ids=["late", "at once"])
def test_a_launch_returns_at_once_and_wait_when_the_output_is_there(make_machine: Any, eager: bool) -> None:
    machine = make_machine(eager=eager)
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph)) as runner:
        step = runner.bind(tensor(0))
        step.input[...] = tensor(1)
        assert spent(machine, step.launch) == Counter({"launch graph": 1})
        wanted = expected(graph, tensor(1))
        assert np.array_equal(step.output, wanted) == eager
        step.wait()
        np.testing.assert_array_equal(step.output, wanted)


def test_the_engine_alone_runs_on_the_device(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph)) as runner:
        step = runner.bind_resident()
        source, result = tensor(3), np.empty(runner.output.shape, np.float32)
        machine.driver.copy_to_device(step.lane.input, source, step.stream)
        step()
        machine.driver.copy_to_host(result, step.lane.output, step.stream)
        machine.driver.synchronize(step.stream)
        np.testing.assert_array_equal(result, expected(graph, source))


def test_the_engine_alone_runs_on_the_array_it_was_bound_to(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph)) as runner:
        step = runner.bind_resident(tensor(3))
        result = np.empty(runner.output.shape, np.float32)
        step()
        machine.driver.copy_to_host(result, step.lane.output, step.stream)
        machine.driver.synchronize(step.stream)
        np.testing.assert_array_equal(result, expected(graph, tensor(3)))


def test_a_step_runs_in_any_thread(machine: EmulatedMachine) -> None:
    with TensorRtRunner(machine.engine(machine.graph())) as runner, ThreadPoolExecutor(1) as pool:
        step = runner.bind(tensor(0))
        for work in (step, step.launch, step.wait):
            pool.submit(work).result()
        bound_there = pool.submit(runner.bind, tensor(1)).result()
        bound_there()
        np.testing.assert_array_equal(bound_there.output, runner.infer(tensor(1)))


def test_a_runner_may_be_opened_in_one_thread_and_used_in_another(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    runner = TensorRtRunner(machine.engine(graph))
    with ThreadPoolExecutor(1) as pool:
        runner.open()
        np.testing.assert_array_equal(pool.submit(runner.infer, tensor(1)).result(), expected(graph, tensor(1)))
        pool.submit(runner.close).result()
    assert machine.driver.used == 0


@pytest.mark.parametrize("contexts", [1, 2])
def test_no_more_contexts_are_made_than_asked_for_and_only_when_needed(machine: EmulatedMachine, contexts: int) -> None:
    graph = machine.graph()
    arrays = [tensor(seed) for seed in range(4)]
    wanted = [expected(graph, array) for array in arrays]
    with TensorRtRunner(machine.engine(graph), contexts=contexts) as runner:
        runner.infer(arrays[0])
        assert machine.tensorrt.alive == (1, 1, 1)
        with ThreadPoolExecutor(6) as pool:
            for result, right in zip(pool.map(runner.infer, arrays * 6), wanted * 6):
                np.testing.assert_array_equal(result, right)
        assert machine.tensorrt.alive[2] <= contexts


def test_no_context_at_all_is_refused(machine: EmulatedMachine) -> None:
    with pytest.raises(RunnerError, match="got 0; expected 1 or more"):
        TensorRtRunner("any.engine", contexts=0)


def test_without_graphs_each_run_makes_the_same_calls(make_machine: Any) -> None:
    machine = make_machine(captures=False)
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph), cuda="pycuda") as runner:
        step = runner.bind(tensor(0))
        step.input[...] = tensor(1)
        assert step.graph is None
        assert spent(machine, step) == Counter({"execute": 1, "synchronize": 1})
        np.testing.assert_array_equal(step.output, expected(graph, tensor(1)))
        np.testing.assert_array_equal(runner.infer(tensor(2)), expected(graph, tensor(2)))


@pytest.mark.parametrize("obstacle", ["refuses_to_be_captured", "spoils_captures"])
def test_an_engine_that_cannot_be_captured_runs_without_a_graph_and_warns(
    machine: EmulatedMachine, obstacle: str, warned: list[str]
) -> None:
    graph = machine.graph()
    setattr(machine.tensorrt, obstacle, True)
    with TensorRtRunner(machine.engine(graph)) as runner:
        step = runner.bind(tensor(1))
        assert warned.pop().startswith("the engine runs without a CUDA graph, slower: ")
        assert step.graph is None and step.why_no_graph
        step()
        np.testing.assert_array_equal(step.output, expected(graph, tensor(1)))


# Closing


def test_closing_frees_everything_that_is_on_the_device(machine: EmulatedMachine) -> None:
    runner = TensorRtRunner(machine.engine(machine.graph()))
    with runner:
        runner.infer(tensor(0))
    assert (machine.tensorrt.alive, machine.driver.used) == ((0, 0, 0), 0)


def test_a_bound_step_lives_on_and_then_takes_the_engine_with_it(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph)) as runner:
        step = runner.bind(tensor(1))
    step()
    np.testing.assert_array_equal(step.output, expected(graph, tensor(1)))
    del step
    gc.collect()
    assert (machine.tensorrt.alive, machine.driver.used) == ((0, 0, 0), 0)


def test_a_step_that_was_closed_holds_nothing_and_refuses_to_run(machine: EmulatedMachine) -> None:
    with TensorRtRunner(machine.engine(machine.graph())) as runner:
        before = machine.driver.used
        step = runner.bind(tensor(1))
        step.close()
        assert machine.driver.used == before
        for work in (step, step.launch, step.wait):
            with pytest.raises(RunnerError, match="the step was closed"):
                work()


def test_a_context_that_is_out_when_the_runner_closes_is_freed_when_it_comes_back(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    runner = TensorRtRunner(machine.engine(graph), contexts=1)
    runner.open()
    runner.infer(tensor(0))
    inside, closed = threading.Event(), threading.Event()
    run = machine.tensorrt._run

    def held(*arguments: Any) -> None:
        inside.set()
        assert closed.wait(10)
        run(*arguments)

    machine.tensorrt._run = held  # type: ignore[method-assign]
    runner.close()
    runner.open()
    with ThreadPoolExecutor(2) as pool:
        working = pool.submit(runner.infer, tensor(1))
        assert inside.wait(10)
        waiting = pool.submit(runner.infer, tensor(2))
        runner.close()
        closed.set()
        np.testing.assert_array_equal(working.result(), expected(graph, tensor(1)))
        with pytest.raises(RunnerError, match="not open"):
            waiting.result()
    assert (machine.tensorrt.alive[2], machine.driver.used) == (0, 0)
    del working, waiting  # an exception holds what it passed by
    gc.collect()
    assert (machine.tensorrt.alive, machine.driver.used) == ((0, 0, 0), 0)


# Refusals


def test_a_run_that_tensorrt_refuses_is_told_in_its_words(machine: EmulatedMachine) -> None:
    with TensorRtRunner(machine.engine(machine.graph())) as runner:
        machine.tensorrt.refuses_to_run = True
        with pytest.raises(
            RunnerError, match=r"could not run the engine; got from TensorRT: Cask.*Try: run rtseg build"
        ):
            runner.bind(tensor(0))
        machine.tensorrt.refuses_to_run = False
        runner.infer(tensor(0))


def test_memory_that_is_gone_is_an_error_of_cuda(machine: EmulatedMachine) -> None:
    with TensorRtRunner(machine.engine(machine.graph())) as runner:
        step = runner.bind(tensor(0))
        step.lane.input.close()
        with pytest.raises(RunnerError, match=r"CUDA_ERROR_ILLEGAL_ADDRESS \(700\).*Try: start a new process"):
            step()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source": PlanTensor("INT32")}, "tensor image cannot be used; got INT32; expected FLOAT, HALF or UINT8"),
        ({"result": PlanTensor("HALF", "CHW32")}, "tensor logits cannot be used; got Format of logits: CHW32"),
        ({"source": PlanTensor("HALF", "HWC8")}, "got Format of image: HWC8; expected a linear input"),
        ({"source": PlanTensor("FLOAT", shape=(-1, 3, 64, 96))}, r"got \(-1, 3, 64, 96\); expected a static shape"),
        ({"extra_outputs": 1}, "another number of inputs and outputs; got 1 and 2; expected 1 and 1"),
    ],
)
def test_an_engine_of_another_make_is_refused(machine: EmulatedMachine, options: dict[str, Any], told: str) -> None:
    with pytest.raises(RunnerError, match=told):
        TensorRtRunner(machine.engine(machine.graph(), **options)).open()


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        (10_000, r"memory for the engine's input; got 0\.0 MiB free; expected 0\.1 MiB\. Try: use fewer contexts"),
        (75_000, r"memory for the engine's output; got 0\.0 MiB free; expected 0\.0 MiB\. Try: use fewer contexts"),
        (
            100_000,
            r"an execution context, which takes 0\.1 MiB where 0\.0 MiB are free: not enough GPU memory; got",
        ),
    ],
)
def test_want_of_memory_is_told_with_what_is_wanted_and_what_is_free(
    make_machine: Any, memory: int, told: str, refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    machine = make_machine(device=replace(H200, memory=memory))
    assert re.search(told, refused("run", machine.engine(machine.graph()), picture, "-o", tmp_path / "out"))
    gc.collect()
    assert (machine.tensorrt.alive, machine.driver.used) == ((0, 0, 0), 0)


def test_a_second_context_without_room_leaves_the_first_one_working(make_machine: Any) -> None:
    machine = make_machine(device=replace(H200, memory=300_000))
    with TensorRtRunner(machine.engine(machine.graph())) as runner:
        with pytest.raises(RunnerError, match="GPU memory"):
            [runner.bind(tensor(0)) for _ in range(2)]
        runner.infer(tensor(0))


def test_a_tensorrt_that_cannot_start_is_told_with_the_cause(machine: EmulatedMachine) -> None:
    machine.tensorrt.cannot_start = True
    with pytest.raises(RunnerError, match=r"cannot start its runtime: .*too old for this TensorRT"):
        TensorRtRunner(machine.engine(machine.graph())).open()


def test_an_engine_of_another_gpu_of_the_same_kind_runs_with_a_note(machine: EmulatedMachine) -> None:
    with TensorRtRunner(machine.engine(machine.graph(), gpu="NVIDIA H100")) as runner:
        assert runner.notes[0].startswith("the engine was built on NVIDIA H100: on NVIDIA H200")


def of_another_version(machine: EmulatedMachine, path: Path) -> None:
    machine.engine(path.with_suffix(".onnx"), release="10.3.0.26")


def of_another_gpu(machine: EmulatedMachine, path: Path) -> None:
    machine.engine(path.with_suffix(".onnx"), compute_capabilities=("8.7",), gpu="Orin")


def one_byte_altered(machine: EmulatedMachine, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncated(machine: EmulatedMachine, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def without_its_manifest(machine: EmulatedMachine, path: Path) -> None:
    manifest_path(path).unlink()


def refused_by_tensorrt(machine: EmulatedMachine, path: Path) -> None:
    manifest = read_manifest(path, kind="engine")
    truncated(machine, path)
    write_manifest(path, manifest)


def of_another_version_than_its_manifest_says(machine: EmulatedMachine, path: Path) -> None:
    of_another_version(machine, path)
    manifest = read_manifest(path, kind="engine")
    write_manifest(path, replace(manifest, details=replace(manifest.details, release=machine.release)))


@pytest.mark.parametrize(
    ("damage", "kind", "told"),
    [
        (
            of_another_version,
            RunnerError,
            r"another version of TensorRT; got 10\.3\.0\.26 in .*Try: run rtseg build ONNX",
        ),
        (
            of_another_gpu,
            RunnerError,
            r"for another GPU; got NVIDIA H200 .*9\.0; expected 8\.7, .*Try: run rtseg build",
        ),
        (one_byte_altered, ManifestError, r"does not match its manifest; got sha256 .*Try: run rtseg build ONNX"),
        (truncated, ManifestError, r"does not match its manifest; got sha256 .*Try: run rtseg build ONNX"),
        (without_its_manifest, ManifestError, r"logits\.engine has no manifest beside it"),
        (refused_by_tensorrt, EngineError, r"refuses the engine: this is not a TensorRT engine, or it is damaged"),
        (
            of_another_version_than_its_manifest_says,
            EngineError,
            r"TensorRT refuses the engine: the engine was built with (TensorRT 10\.3\.0\.26|another version)",
        ),
    ],
)
def test_an_engine_that_is_not_to_be_run_is_refused_before_or_by_tensorrt(
    machine: EmulatedMachine,
    damage: Callable[[EmulatedMachine, Path], None],
    kind: type[Exception],
    told: str,
    refused: Callable[..., str],
    picture: Path,
    tmp_path: Path,
) -> None:
    path = machine.engine(machine.graph())
    damage(machine, path)
    with pytest.raises(kind, match=told) as raised:
        TensorRtRunner(path).open()
    given = machine.tensorrt.recorded.arguments("Runtime.deserialize_cuda_engine")
    assert bool(given) == (kind is EngineError)
    assert refused("run", path, picture, "-o", tmp_path / "out") == str(raised.value)
    assert not (tmp_path / "out").exists()


def test_tensorrts_words_are_heard_while_an_engine_that_came_first_is_open(machine: EmulatedMachine) -> None:
    graph = machine.graph()
    with TensorRtRunner(machine.engine(graph)) as first:
        lasting = first.bind(tensor(1))
    path = machine.engine(graph)
    refused_by_tensorrt(machine, path)
    with pytest.raises(EngineError, match="refuses the engine: this is not a TensorRT engine"):
        TensorRtRunner(path).open()
    lasting.close()


def test_the_logger_that_tensorrt_was_given_is_there_as_long_as_the_process(machine: EmulatedMachine) -> None:
    first, second = LogRecord(), LogRecord()
    logger = tensorrt_logger(sys.modules["tensorrt"], first)
    assert tensorrt_logger(sys.modules["tensorrt"], second) is logger
    logger.log(machine.tensorrt.module.ILogger.ERROR, "heard")
    assert first.errors == second.errors == ("heard",)
    kept = weakref.ref(logger)
    del first, second, logger
    gc.collect()
    assert kept() is not None
