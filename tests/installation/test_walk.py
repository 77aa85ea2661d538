"""The chain, walked: for real as far as a machine without a GPU goes, and to its end on an emulated one."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import pytest

from rtseg.errors import CudaError
from rtseg.installation import device_steps
from rtseg.installation.finding import Finding
from rtseg.installation.packages import package_findings
from rtseg.installation.walk import walk_the_chain
from rtseg.runners import registry
from rtseg.runners.cuda.registry import OPENERS
from rtseg.runners.tensorrt.module import rtx_has_wheels
from tests.contracts.tensorrt_machine import LAYERS
from tests.emulated_gpu.driver import H200
from tests.emulated_gpu.injection import put_no_cuda
from tests.installation.conftest import NO_DRIVER, MakeMachine, Walk

IN_ORDER = [
    "driver",
    "kernels compiled",
    "kernels run",
    "graph written",
    "onnxruntime run",
    "onnxruntime-cuda run",
    "tensorrt built",
    "tensorrt loaded",
    "tensorrt compared",
    "tensorrt timed",
    "tensorrt-rtx built",
    "tensorrt-rtx loaded",
    "tensorrt-rtx compared",
    "tensorrt-rtx timed",
    "pycuda driver",
]


@pytest.fixture
def cuda_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime with a CUDA provider, which is its CPU."""
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setitem(registry._RUNNERS, "onnxruntime-cuda", registry._RUNNERS["onnxruntime"])


# Without a GPU, for real


class RealWalk(NamedTuple):
    """What was found, and what lay in the folder of temporary files and in the cache afterwards."""

    found: dict[str, Finding]
    left: list[Path]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealWalk]:
    """The chain as this machine walks it, but that a driver which it may have is not seen."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        put_no_cuda(patch, NO_DRIVER)
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("RTSEG_CACHE", str(folder))
        found = {each.name: each for each in walk_the_chain(package_findings())}
        assert os.environ["RTSEG_CACHE"] == str(folder)
        yield RealWalk(found, list(folder.iterdir()))


def test_the_graph_is_written_and_run_by_onnx_runtime(real: RealWalk) -> None:
    assert real.found["graph written"].seen == "three convolutions at 128x192, opset 17"
    assert real.found["onnxruntime run"].seen.startswith("a 180x240 picture labelled on the CPU")


@pytest.mark.skipif(not rtx_has_wheels(), reason="TensorRT for RTX has wheels for x86-64 Linux and Windows only")
def test_a_portable_engine_is_built_and_proven_by_the_real_compiler(real: RealWalk) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")
    built = real.found["tensorrt-rtx built"]
    assert built.works is True
    assert built.seen.startswith("for GPUs of compute capability 8.6, 8.9, 12.0") and "proven fp32" in built.seen


def test_without_a_driver_it_is_the_reason_why_nothing_is_run_on_a_gpu(real: RealWalk) -> None:
    assert list(real.found) == IN_ORDER
    driver = real.found["driver"]
    assert (driver.works, driver.seen, driver.mend) == (False, NO_DRIVER.name, NO_DRIVER.hint)
    for name in ("kernels run", "onnxruntime-cuda run", "tensorrt-rtx loaded", "tensorrt-rtx timed"):
        assert (real.found[name].works, real.found[name].seen) == (None, "not tried: no driver"), name


def test_nothing_is_left_behind(real: RealWalk) -> None:
    assert real.left == []


@pytest.mark.usefixtures("no_gpu")
def test_without_a_driver_the_kernels_are_compiled_all_the_same(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(device_steps, "compile_kernel", lambda source, arch, **_: asked.append(arch) or bytes(10 << 10))
    assert walk()["kernels compiled"].seen == "10 KiB for sm_86"
    assert asked == ["sm_86"]


@pytest.mark.usefixtures("no_gpu")
def test_without_a_compiler_of_kernels_the_package_that_brings_it_is_told(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> bytes:
        raise CudaError("compile", name="no library libnvrtc", hint="pip install nvidia-cuda-nvrtc")

    monkeypatch.setattr(device_steps, "compile_kernel", refused)
    found = walk()["kernels compiled"]
    assert (found.works, found.seen, found.mend) == (False, "no library libnvrtc", "pip install nvidia-cuda-nvrtc")


def test_without_a_folder_to_write_in_that_is_all_that_is_told(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> str:
        raise FileNotFoundError("No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refused)
    found = walk()
    assert list(found) == ["temporary folder"] and found["temporary folder"].works is False


@pytest.mark.usefixtures("no_gpu")
def test_without_onnx_nothing_is_run_and_no_other_package_is_asked_for(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    found = walk()
    assert found["graph written"].mend == "run pip install onnx"
    for name in ("onnxruntime run", "tensorrt-rtx built", "tensorrt-rtx loaded"):
        assert found[name].works is None
    assert found["onnxruntime run"].seen == "not tried: no graph"


# On an emulated GPU


@pytest.mark.usefixtures("cuda_provider")
def test_on_a_gpu_every_step_works(walk: Walk, make_machine: MakeMachine) -> None:
    make_machine()
    found = walk()
    assert list(found) == IN_ORDER
    assert {name: each.seen for name, each in found.items() if not each.works} == {}
    assert found["driver"].seen.startswith("NVIDIA GeForce RTX 4090, sm_89")
    assert found["tensorrt loaded"].seen.startswith("on GPU (NVIDIA GeForce RTX 4090, sm89, TensorRT 10.3")
    assert "8.9" in found["tensorrt-rtx built"].seen
    for name in ("tensorrt compared", "tensorrt-rtx compared", "onnxruntime-cuda run"):
        assert found[name].seen == "100.00% of the pixels get the same label as from ONNX Runtime"
    for name in ("tensorrt timed", "tensorrt-rtx timed"):
        assert found[name].seen.endswith("ms a frame from picture to labels, the median of 3")


def test_what_was_loaded_is_freed(walk: Walk, make_machine: MakeMachine) -> None:
    machine = make_machine()
    walk()
    assert machine.tensorrt.alive == (0, 0, 0) and machine.rtx.alive == (0, 0, 0)


def test_without_a_cuda_provider_onnx_runtime_is_not_tried_on_the_gpu(walk: Walk, make_machine: MakeMachine) -> None:
    make_machine()
    found = walk()["onnxruntime-cuda run"]
    assert (found.works, found.seen) == (None, "not tried: this onnxruntime has no CUDA provider")
    assert "rtseg[gpu]" in found.mend


def test_a_driver_that_brings_back_other_bytes_does_not_work(
    walk: Walk, make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make_machine()
    monkeypatch.setattr(machine.driver, "copy_to_device", lambda *_: None)
    found = walk()
    assert found["driver"].works is False and "bytes came back changed" in found["driver"].seen
    assert found["tensorrt built"].seen == "not tried: no driver"


def test_a_kernel_that_computes_something_else_is_told(
    walk: Walk, make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_machine()
    monkeypatch.setattr(device_steps, "tensor_from_image", lambda picture, spec: np.zeros((3, 128, 192), np.float32))
    found = walk()["kernels run"]
    assert found.works is False and found.seen.startswith("the tensor differs from the host's by up to ")


def test_without_compiled_kernels_no_engine_is_loaded(
    walk: Walk, make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make_machine()

    def refused(*_: object, **__: object) -> bytes:
        raise CudaError("compile", name="no library libnvrtc", hint="pip install nvidia-cuda-nvrtc")

    monkeypatch.setattr(machine.driver, "compile", refused)
    found = walk()
    assert found["tensorrt built"].works is True
    for name in ("kernels run", "tensorrt loaded", "tensorrt compared", "tensorrt timed"):
        assert found[name].seen == "not tried: no compiled kernels"


def test_where_the_build_fails_nothing_of_that_product_is_loaded_and_the_other_goes_on(
    walk: Walk, make_machine: MakeMachine
) -> None:
    machine = make_machine()
    machine.tensorrt.recorded.answers["Builder.build_serialized_network"] = lambda *_: None
    found = walk()
    assert found["tensorrt built"].works is False
    for name in ("tensorrt loaded", "tensorrt compared", "tensorrt timed"):
        assert found[name].seen == "not tried: no engine of TensorRT"
    assert found["tensorrt-rtx timed"].works is True


def test_an_engine_in_another_precision_is_no_engine(walk: Walk, make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.tensorrt.recorded.answers["EngineInspector.get_engine_information"] = lambda *_: LAYERS["int8"]
    found = walk()
    assert found["tensorrt built"].works is False and "fp32 was requested" in found["tensorrt built"].seen
    assert found["tensorrt loaded"].seen == "not tried: no engine of TensorRT"


def test_an_engine_that_does_not_load_is_neither_compared_nor_timed(walk: Walk, make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.tensorrt.recorded.answers["ICudaEngine.create_execution_context"] = lambda engine: None
    found = walk()
    assert found["tensorrt loaded"].works is False
    for name in ("tensorrt compared", "tensorrt timed"):
        assert found[name].seen == "not tried: TensorRT loads no engine"


def test_an_engine_that_does_not_run_is_told(walk: Walk, make_machine: MakeMachine) -> None:
    machine = make_machine()
    machine.tensorrt.refuses_to_run = True
    found = walk()
    assert [found[f"tensorrt {name}"].works for name in ("loaded", "compared", "timed")] == [True, False, False]


def test_labels_that_are_not_onnx_runtimes_are_told(
    walk: Walk, make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make_machine(rtx=None)
    run = machine.tensorrt._run

    def mirrored(engine: object, addresses: dict[str, int]) -> None:
        run(engine, addresses)  # type: ignore[arg-type]
        stored = machine.tensorrt._stored(engine, "logits", addresses)
        stored[...] = stored[..., ::-1].copy()

    monkeypatch.setattr(machine.tensorrt, "_run", mirrored)
    found = walk()
    assert found["tensorrt compared"].works is False
    assert found["tensorrt compared"].seen.startswith("the labels differ from ONNX Runtime's; got ")
    assert found["tensorrt timed"].works is True


def test_a_product_that_is_not_installed_is_not_tried(walk: Walk, make_machine: MakeMachine) -> None:
    make_machine(version=None)
    found = walk()
    assert {found[name].seen for name in IN_ORDER if name.startswith("tensorrt ")} == {"not tried: no working tensorrt"}
    assert found["tensorrt-rtx timed"].works is True


def test_tensorrt_for_rtx_is_not_loaded_on_a_gpu_that_it_compiles_nothing_for(
    walk: Walk, make_machine: MakeMachine
) -> None:
    make_machine(device=H200)
    found = walk()
    assert found["tensorrt-rtx built"].works is True
    assert found["tensorrt-rtx loaded"].seen == "not tried: TensorRT for RTX does not run on compute capability 9.0"
    assert found["tensorrt timed"].works is True


def test_pycuda_that_cannot_open_the_driver_is_told(
    walk: Walk, make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_machine()

    def refused(device: int) -> None:
        raise CudaError("take the device's primary context", name="a thread that is not the main one")

    monkeypatch.setitem(OPENERS, "pycuda", refused)
    found = walk()
    assert found["pycuda driver"].works is False and found["tensorrt timed"].works is True
