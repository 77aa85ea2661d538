"""What holds for every runner: one graph behind PyTorch, ONNX Runtime, OpenVINO, and two TensorRTs on emulated GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import torch

from rtseg.engines.openvino_building import build_openvino
from rtseg.errors import RunnerError
from rtseg.exporting.interfaces import interface_module
from rtseg.exporting.onnx_file import export_onnx
from rtseg.frame.protocol import Array, Runner, TensorSpec
from rtseg.networks.prepared import PreparedNetwork
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.openvino import OpenVinoRunner
from rtseg.runners.tensorrt.module import RTX
from rtseg.runners.tensorrt.runner import TensorRtRunner
from rtseg.runners.torch import TorchRunner
from rtseg.specs import Resolution
from tests.emulated_gpu.driver import RTX_4090
from tests.emulated_gpu.machine import EmulatedMachine
from tests.native.kernels_on_cpu import KernelsOnCpu
from tests.staged_network import staged_network

SIZE = Resolution(64, 96)
SHAPES = {"logits": ((1, 3, 64, 96), (1, 11, 16, 24)), "labels": ((1, 64, 96, 3), (1, 64, 96))}
BACKENDS = ("torch", "onnxruntime", "openvino", "openvino-stored", "tensorrt", "tensorrt-rtx")

Make = Callable[[], Runner]


@pytest.fixture(scope="module")
def machine(exports: Path, kernels_on_cpu: KernelsOnCpu) -> Iterator[EmulatedMachine]:
    with pytest.MonkeyPatch.context() as patch:
        yield EmulatedMachine(patch, kernels_on_cpu, exports, rtx="rtx-1.7", device=RTX_4090)


@pytest.fixture(scope="module")
def network() -> PreparedNetwork:
    """Five convolutions: nothing here depends on more, and every test opens a runner."""
    return staged_network(torch.randn(1, 3, SIZE.height, SIZE.width, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module", params=[(b, i) for b in BACKENDS for i in SHAPES], ids="-".join)
def graph(request: pytest.FixtureRequest, network: PreparedNetwork, exports: Path) -> tuple[str, Make]:
    """An interface's name and a function that makes a fresh runner for it."""
    backend, interface = request.param
    if backend == "torch":
        module, source = interface_module(network, interface, SIZE)
        return interface, lambda: TorchRunner(module, source)
    path = exports / f"contract.{interface}.onnx"
    if not path.exists():
        export_onnx(network, SIZE, path, interface=interface)
    if backend == "tensorrt":
        engine = request.getfixturevalue("machine").engine(path)
        return interface, lambda: TensorRtRunner(engine)
    if backend == RTX:
        rtx_engine = request.getfixturevalue("machine").rtx_engine(path)
        return interface, lambda: TensorRtRunner(rtx_engine, runtime=RTX)
    if backend.startswith("openvino"):
        if find_spec("openvino") is None:
            pytest.skip("openvino is not installed")
        source = path if backend == "openvino" else build_openvino(path)
        return interface, lambda: OpenVinoRunner(source, threads=1)
    return interface, lambda: OnnxRuntimeRunner(path, threads=1)


@pytest.fixture()
def make(graph: tuple[str, Make]) -> Make:
    return graph[1]


@pytest.fixture()
def runner(make: Make) -> Iterator[Runner]:
    with make() as runner:
        yield runner


def array_for(source: TensorSpec, seed: int) -> Array:
    random = np.random.default_rng(seed)
    if source.dtype == "uint8":
        return random.integers(0, 256, source.shape, np.uint8)
    return random.standard_normal(source.shape, np.float32)


def test_input_and_output_are_those_of_the_graph(graph: tuple[str, Make], runner: Runner) -> None:
    interface = graph[0]
    dtypes = ("uint8", "uint8") if interface == "labels" else ("float32", "float32")
    assert (runner.input.shape, runner.output.shape) == SHAPES[interface]
    assert (runner.input.dtype, runner.output.dtype) == dtypes


def test_the_result_has_the_shape_and_dtype_that_output_promises(runner: Runner) -> None:
    result = runner.infer(array_for(runner.input, 1))
    assert (result.shape, str(result.dtype)) == (runner.output.shape, runner.output.dtype)


def test_a_result_is_not_touched_by_the_next_inference(runner: Runner) -> None:
    first = runner.infer(array_for(runner.input, 1))
    kept = first.copy()
    second = runner.infer(array_for(runner.input, 2))
    assert not np.array_equal(second, kept)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)


def test_a_result_can_be_written_to(runner: Runner) -> None:
    result = runner.infer(array_for(runner.input, 1))
    result[...] = 0
    assert not result.any()


def test_inference_leaves_its_input_alone(runner: Runner) -> None:
    array = array_for(runner.input, 1)
    kept = array.copy()
    runner.infer(array)
    np.testing.assert_array_equal(array, kept)


def test_the_same_input_gives_the_same_result(runner: Runner) -> None:
    array = array_for(runner.input, 3)
    np.testing.assert_array_equal(runner.infer(array), runner.infer(array))


def test_an_array_with_gaps_is_read_as_its_values(runner: Runner) -> None:
    array = array_for(runner.input, 3)
    apart = np.repeat(array, 2, axis=-1)[..., ::2]
    backwards = np.ascontiguousarray(array[:, ::-1])[:, ::-1]
    for view in (apart, backwards):
        assert not view.flags.c_contiguous
        np.testing.assert_array_equal(runner.infer(view), runner.infer(array))


def test_an_array_that_may_not_be_written_is_read_without_a_warning(runner: Runner) -> None:
    array = array_for(runner.input, 3)
    expected = runner.infer(array)
    array.flags.writeable = False
    np.testing.assert_array_equal(runner.infer(array), expected)


def test_a_bound_step_gives_what_infer_gives(runner: Runner) -> None:
    array = array_for(runner.input, 4)
    step = runner.bind(array)
    step()
    np.testing.assert_array_equal(step.output, runner.infer(array))


def test_a_bound_step_reads_its_input_and_overwrites_its_output_in_place(runner: Runner) -> None:
    first, second = (array_for(runner.input, seed) for seed in (4, 5))
    step = runner.bind(first)
    source, result = step.input, step.output
    step()
    step.input[...] = second
    step()
    assert step.input is source
    assert step.output is result
    np.testing.assert_array_equal(result, runner.infer(second))


def test_a_bound_step_keeps_a_copy_of_the_array_it_was_made_with(runner: Runner) -> None:
    array = array_for(runner.input, 4)
    expected = runner.infer(array)
    step = runner.bind(array)
    array[...] = 0
    step()
    np.testing.assert_array_equal(step.output, expected)


def test_two_steps_of_one_runner_do_not_share_buffers(runner: Runner) -> None:
    arrays = [array_for(runner.input, seed) for seed in (4, 5)]
    steps = [runner.bind(array) for array in arrays]
    for step in steps:
        step()
    for step, array in zip(steps, arrays):
        np.testing.assert_array_equal(step.output, runner.infer(array))


@pytest.mark.parametrize("call", ["infer", "bind", "bind_resident"])
def test_another_shape_is_refused_with_both_shapes(runner: Runner, call: str) -> None:
    array = array_for(runner.input, 1)[..., :-1]
    with pytest.raises(RunnerError, match="the input image does not fit") as caught:
        getattr(runner, call)(array)
    assert str(array.shape) in str(caught.value)
    assert str(runner.input.shape) in str(caught.value)


@pytest.mark.parametrize("call", ["infer", "bind", "bind_resident"])
def test_another_dtype_is_refused_with_both_dtypes(runner: Runner, call: str) -> None:
    with pytest.raises(RunnerError, match="the input image does not fit") as caught:
        getattr(runner, call)(array_for(runner.input, 1).astype(np.float64))
    assert "got float64 " in str(caught.value)
    assert f"expected {runner.input.dtype} " in str(caught.value)


@pytest.mark.parametrize("call", ["infer", "bind", "bind_resident"])
def test_a_runner_that_was_never_opened_refuses_to_run(graph: tuple[str, Make], call: str) -> None:
    interface, make = graph
    array = np.zeros(SHAPES[interface][0], np.uint8 if interface == "labels" else np.float32)
    with pytest.raises(RunnerError, match="is not open"):
        getattr(make(), call)(array)


@pytest.mark.parametrize("call", ["infer", "bind", "bind_resident"])
def test_a_closed_runner_refuses_to_run(runner: Runner, call: str) -> None:
    array = array_for(runner.input, 1)
    runner.close()
    with pytest.raises(RunnerError, match="is not open"):
        getattr(runner, call)(array)


def test_a_runner_opened_again_gives_the_same_results(runner: Runner) -> None:
    array = array_for(runner.input, 6)
    expected = runner.infer(array)
    runner.close()
    runner.open()
    np.testing.assert_array_equal(runner.infer(array), expected)


def test_opening_twice_and_closing_twice_are_harmless(runner: Runner) -> None:
    array = array_for(runner.input, 6)
    expected = runner.infer(array)
    runner.open()
    np.testing.assert_array_equal(runner.infer(array), expected)
    runner.close()
    runner.close()


def test_leaving_the_context_closes_the_runner(make: Make) -> None:
    with make() as runner:
        array = array_for(runner.input, 1)
        runner.infer(array)
    with pytest.raises(RunnerError, match="is not open"):
        runner.infer(array)


def test_inference_from_many_threads_gives_the_same_results(runner: Runner) -> None:
    arrays = [array_for(runner.input, seed) for seed in range(6)]
    expected = [runner.infer(array) for array in arrays]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(runner.infer, arrays * 8))
    for position, result in enumerate(results):
        np.testing.assert_array_equal(result, expected[position % len(arrays)])


def test_steps_of_one_runner_may_run_at_once(runner: Runner) -> None:
    arrays = [array_for(runner.input, seed) for seed in range(4)]
    expected = [runner.infer(array) for array in arrays]
    steps = [runner.bind(array) for array in arrays]

    def repeated(position: int) -> Array:
        for _ in range(10):
            steps[position]()
        return steps[position].output

    with ThreadPoolExecutor(4) as pool:
        for result, wanted in zip(pool.map(repeated, range(4)), expected):
            np.testing.assert_array_equal(result, wanted)


def test_backend_and_device_name_what_runs(make: Make) -> None:
    runner = make()
    assert runner.backend in BACKENDS
    assert runner.device.startswith("GPU (" if runner.backend.startswith("tensorrt") else "CPU (")


def test_a_file_that_is_no_onnx_is_refused_on_opening_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "words.onnx"
    path.write_text("not a graph")
    runner = OnnxRuntimeRunner(path)
    with pytest.raises(RunnerError, match=r"ONNX Runtime cannot load .*words\.onnx"):
        runner.open()


def test_a_provider_that_is_not_installed_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"lacks a provider; got .*CPUExecutionProvider"):
        OnnxRuntimeRunner(tmp_path / "any.onnx", provider="NoSuchExecutionProvider").open()


class OnlySquare(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x.transpose(2, 3)


def test_a_module_that_fails_on_the_inputs_shape_is_refused_on_opening() -> None:
    source = TensorSpec("image", (1, 3, 32, 48), "float32")
    with pytest.raises(RunnerError, match=r"PyTorch fails on .*\(1, 3, 32, 48\)"):
        TorchRunner(OnlySquare(), source).open()


def test_the_metadata_of_a_closed_onnx_runner_is_not_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="is not open"):
        _ = OnnxRuntimeRunner(tmp_path / "any.onnx").metadata


def test_a_module_that_returns_its_input_still_gives_a_new_array() -> None:
    array = np.ones((1, 3, 4, 4), np.float32)
    with TorchRunner(torch.nn.Identity(), TensorSpec("image", array.shape, "float32")) as runner:
        result = runner.infer(array)
    assert not np.shares_memory(result, array)
    np.testing.assert_array_equal(result, array)
