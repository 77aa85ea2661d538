"""Engines that TensorRT for RTX cannot run: each is refused in one line, most of them before it sees a byte."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtseg
from rtseg.artifacts.manifest import read_manifest, write_manifest
from rtseg.errors import (
    CudaError,
    EngineError,
    ManifestError,
    MissingDependencyError,
    RtsegError,
    RunnerError,
)
from rtseg.runners.cuda.registry import open_cuda
from rtseg.runners.loading import load
from rtseg.runners.tensorrt.rtx_runtime import open_rtx_engine
from tests.contracts.tensorrt_api import RTX_VERSIONS
from tests.emulated_gpu.driver import H200, RTX_4090
from tests.emulated_gpu.graphs import write_graph
from tests.emulated_gpu.machine import EmulatedMachine, refusal, scene
from tests.emulated_gpu.rtx import HEADER, NOTHING, RtxPlan
from tests.emulated_gpu.tensorrt import PlanTensor

OTHER = (50, 70)
"""A size that is neither the graphs' nor a multiple of anything."""

versions = pytest.mark.parametrize("version", RTX_VERSIONS)


# Failures while opening


def out_of_memory_for(purpose: str, free: int) -> Any:
    """Return a case: memory of the device, and what it does not suffice for."""
    return pytest.param(
        free, rf"not enough GPU memory for {purpose}; got \d\.\d MiB free; .*Try: use fewer con", id=purpose
    )


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        out_of_memory_for("the engine's input", 73_000),
        out_of_memory_for("the engine's output", 80_000),
        out_of_memory_for("the engine's scratch memory", 120_000),
        pytest.param(
            50_000, "cannot load the engine: the GPU has not enough memory; got INSUF.*Try: use a smaller", id="all"
        ),
    ],
)
def test_want_of_memory_is_one_line_and_leaves_nothing_on_the_device(
    make_rtx: Any, memory: int, told: str, refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    machine = make_rtx(device=replace(RTX_4090, memory=memory))
    path = machine.rtx_engine(machine.graph())
    assert re.search(told, refusal(path, RunnerError if "memory for" in told else EngineError))
    assert machine.rtx.left == NOTHING
    assert re.search(told, refused("run", path, picture, "-o", tmp_path / "out"))


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
    assert rtx.rtx.left == NOTHING
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
    assert rtx.rtx.left == NOTHING


# Refused before the product sees a byte


PORTABLE = ((8, 6), (8, 9), (12, 0), (12, 1))


@versions
def test_an_engine_whose_manifest_tells_of_another_release_is_refused_unseen(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    path = machine.rtx_engine(machine.graph(), release="1.3.0.35")
    told = refusal(path, RunnerError)
    assert told.startswith(
        "the engine was built with another version of TensorRT for RTX; got 1.3.0.35 in its manifest; expected "
    )
    assert "Try: run rtseg build ONNX --runtime tensorrt-rtx --precision fp32" in told
    assert machine.rtx.seen == []


@versions
def test_an_engine_whose_bytes_tell_of_another_release_is_refused_unseen(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    path = machine.rtx_engine(machine.graph(), RtxPlan("1.3.0.35"), release=machine.rtx.release)
    told = refusal(path, RunnerError)
    assert told.startswith(
        "the file was not built by this release of TensorRT for RTX; got 1.3.0 in its bytes 24 to 26; "
    )
    assert machine.rtx.seen == []


@pytest.mark.parametrize("content", [b"", b"short", b"not an engine, but long enough to be one" * 10])
def test_a_file_that_is_no_engine_is_refused_unseen(rtx: EmulatedMachine, content: bytes) -> None:
    path = rtx.rtx_engine(rtx.graph())
    manifest = read_manifest(path, kind="engine")
    path.write_bytes(content)
    write_manifest(path, manifest)
    assert "was not built by this release of TensorRT for RTX" in refusal(path, RunnerError)
    assert rtx.rtx.seen == []


def test_an_engine_that_was_altered_is_refused_unseen(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph())
    content = bytearray(path.read_bytes())
    content[HEADER + 500] ^= 1
    path.write_bytes(content)
    assert "does not match its manifest" in refusal(path, ManifestError)
    assert rtx.rtx.seen == []


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
    assert f"expected {expected_ones}. Try: run rtseg build ONNX --runtime tensorrt-rtx" in told
    assert f"--compute-capability {here}" in told
    assert machine.rtx.seen == []


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
            "it is of another release; got VERSION_MISMATCH. Try: run rtseg build again with the release",
        ),
        (
            "UNSUPPORTED_CC",
            "it is not for this GPU; got UNSUPPORTED_CC. Try: run rtseg build --runtime tensorrt-rtx with",
        ),
        (
            "OLD_CUDA_DRIVER",
            "the NVIDIA driver is too old; got OLD_CUDA_DRIVER. Try: install a newer driver: nvidia-smi shows",
        ),
        (
            "OLD_CUDA_RUNTIME",
            "the CUDA runtime is too old; got OLD_CUDA_RUNTIME. Try: run pip install --upgrade tensorrt-",
        ),
        (
            "INSUFFICIENT_GPU_MEMORY",
            "the GPU has not enough memory; got INSUFFICIENT_GPU_MEMORY. Try: use a smaller res",
        ),
        ("MALFORMED_ENGINE", "it is damaged, or no engine; got MALFORMED_ENGINE. Try: run rtseg build again"),
        (
            "CUDA_ERROR",
            "CUDA cannot be used; got CUDA_ERROR. Try: run nvidia-smi, which shows whether driver and GPU are",
        ),
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
    told = "TensorRT for RTX cannot load the engine; got from TensorRT: no message. Try: run nvidia-smi"
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
    assert rtx.rtx.left == NOTHING


def test_a_context_that_the_product_will_not_make_is_one_line(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph())
    rtx.rtx.recorded.answers["ICudaEngine.create_execution_context"] = lambda engine, config: None
    told = refusal(path, RunnerError)
    assert told.startswith(
        "TensorRT for RTX cannot make an execution context, which takes 0.1 MiB where 63.9 MiB are free"
    )
    assert rtx.rtx.left == NOTHING


def test_an_engine_that_is_said_to_be_valid_and_is_refused_all_the_same_is_one_line(rtx: EmulatedMachine) -> None:
    path = rtx.rtx_engine(rtx.graph(), RtxPlan(rtx.rtx.release, ((12, 0),)), compute_capabilities=("8.9",))
    rtx.rtx.verdict = "VALID", 0
    told = refusal(path, EngineError)
    assert told.startswith("TensorRT for RTX refuses the engine; got from TensorRT: ")
    assert told.endswith("Try: run rtseg build again with the release of TensorRT for RTX that is installed here")


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
    assert "\n" not in told and "Try: run nvidia-smi" in told


def test_the_real_product_calls_junk_malformed(no_driver: None) -> None:
    tensorrt_rtx = pytest.importorskip("tensorrt_rtx")
    with pytest.raises(EngineError, match="it is damaged, or no engine; got MALFORMED_ENGINE"):
        open_rtx_engine(tensorrt_rtx, b"junk" * 100, "none", "0" * 64)


def test_real_engines_have_the_header_that_the_emulated_ones_have(real_engine: Path, rtx: EmulatedMachine) -> None:
    made = rtx.rtx_engine(rtx.graph()).read_bytes()
    real = real_engine.read_bytes()
    release = read_manifest(real_engine, kind="engine").details.release
    for content, numbers in ((real, release), (made, rtx.rtx.release)):
        assert content[:4] == b"vtrt"
        assert int.from_bytes(content[16:24], "little") == len(content)
        assert tuple(content[24:27]) == tuple(map(int, numbers.split(".")[:3]))
