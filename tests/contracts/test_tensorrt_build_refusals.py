"""What `rtseg build` is given or meets that cannot be: one line that says so, and nothing written."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest, write_manifest
from rtseg.errors import CudaError
from tests.contracts.tensorrt_api import versions
from tests.contracts.tensorrt_double import Recorded
from tests.contracts.tensorrt_machine import put_gpu, put_tensorrt
from tests.emulated_gpu.injection import put_no_cuda

Refused = Callable[..., str]
VERSIONS = {version.name: version for version in versions()}


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorded:
    """TensorRT 8.5.3, the oldest; what is refused here every version refuses."""
    return put_tensorrt(monkeypatch, VERSIONS["8.5.3"], tmp_path / "cache")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tensorrt: Recorded) -> Recorded:
    """The same beside a GPU."""
    put_gpu(monkeypatch)
    return tensorrt


@pytest.fixture
def build_refused(refused: Refused, tmp_path: Path, files_in: Callable[[Path], list[str]]) -> Refused:
    """Run `rtseg build`, which has to fail and to leave the folder as it was; return its message."""

    def message(*arguments: object) -> str:
        before = files_in(tmp_path)
        told = refused("build", *arguments, *(() if "-o" in arguments else ("-o", tmp_path / "a.engine")))
        assert [name for name in files_in(tmp_path) if not name.startswith("cache")] == before
        return told

    return message


def logging(recorded: Recorded, severity: str, line: str, answer: Any) -> Callable[..., Any]:
    """Return an answer of TensorRT's that it gives after a line in its log."""

    def said(*_: Any) -> Any:
        ((logger,), *_rest) = recorded.arguments("Builder.__init__")
        logger.log(getattr(sys.modules["tensorrt"].ILogger, severity), line)
        return answer

    return said


def test_int8_of_a_graph_without_quantisers_is_refused(gpu: Recorded, build_refused: Refused, exported: Path) -> None:
    told = build_refused(exported, "--precision", "int8")
    assert told == "INT8 is not in the graph; got no Q/DQ. Try: run rtseg quantize ONNX --table T --to int8"


def test_an_engine_in_place_of_an_onnx_file_is_refused(
    gpu: Recorded, build_refused: Refused, export_copy: Path, tmp_path: Path
) -> None:
    engine = tmp_path / "b.engine"
    engine.write_bytes(b"ftrt")
    assert "b.engine is not an ONNX file" in build_refused(engine)
    manifest = read_manifest(export_copy, kind="onnx")
    write_manifest(engine, type(manifest)(**{**vars(manifest), "kind": "engine", "precision": "fp16"}))
    assert build_refused(engine).endswith("b.engine is another kind of artifact; got engine; expected onnx")


def test_an_onnx_file_without_contracts_is_told_the_command_and_its_options(
    gpu: Recorded, build_refused: Refused, export_copy: Path
) -> None:
    manifest_path(export_copy).unlink()
    model = onnx.load(export_copy)
    del model.metadata_props[:]
    onnx.save(model, export_copy)
    told = build_refused(export_copy)
    assert (
        "has no manifest, and its metadata does not describe its input and output. Try: run rtseg import-onnx" in told
    )
    assert all(option in told for option in ("--classes 11", "--normalization", "--no-align-corners"))


def test_an_output_that_cannot_be_written_is_told_before_the_build(
    gpu: Recorded, build_refused: Refused, exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file" / "a.engine", tmp_path):
        assert f"cannot write {output}" in build_refused(exported, "--precision", "fp16", "-o", output)
    assert gpu.arguments("Builder.__init__") == []


def test_libraries_that_cannot_be_loaded_are_told(
    refused: Refused, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]
) -> None:
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    (tmp_path / "tensorrt").mkdir()
    line = "libnvinfer.so.8: cannot open shared object file: No such file or directory"
    (tmp_path / "tensorrt" / "__init__.py").write_text(f"raise OSError({line!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    told = refused("build", exported, "--runtime", "tensorrt")
    assert told.startswith(f"TensorRT is installed, but its libraries cannot be loaded; got {line}. Try: ")
    doctor = cli("doctor", "--json")
    assert doctor.code == 0 and line in doctor.out


def test_without_a_gpu_the_line_is_cudas(
    tensorrt: Recorded, build_refused: Refused, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_no_cuda(monkeypatch, CudaError("find a GPU", name="CUDA_ERROR_NO_DEVICE", code=100, hint="run nvidia-smi"))
    assert (
        build_refused(exported, "--runtime", "tensorrt")
        == "CUDA cannot find a GPU; got CUDA_ERROR_NO_DEVICE (100). Try: run nvidia-smi"
    )


@pytest.mark.parametrize(
    ("call", "answer", "severity", "line", "told"),
    [
        (
            "Builder.build_serialized_network",
            None,
            "ERROR",
            "2: [virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (no further information)",
            "not enough GPU memory; got from TensorRT: OutOfMemory",
        ),
        (
            "Builder.build_serialized_network",
            None,
            "ERROR",
            "10: [optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error (Could not find any implementation "
            "for node Conv_7.)",
            "TensorRT has no kernel for Conv_7",
        ),
        (
            "OnnxParser.parse",
            False,
            "INFO",
            "No importer registered for op: MaxUnpool. Attempting to import as plugin.",
            "TensorRT's ONNX parser does not know the operator MaxUnpool",
        ),
        (
            "OnnxParser.parse",
            False,
            "ERROR",
            "3: getPluginCreator could not find plugin: FusedHead version: 1",
            "the plugin FusedHead is missing",
        ),
    ],
)
def test_what_tensorrt_refuses_is_one_line_with_its_cause(
    gpu: Recorded, build_refused: Refused, exported: Path, call: str, answer: Any, severity: str, line: str, told: str
) -> None:
    gpu.answers[call] = logging(gpu, severity, line, answer)
    gpu.answers["OnnxParser.num_errors"] = lambda parser: 0
    assert told in build_refused(exported, "--precision", "fp16")


def test_a_driver_that_is_too_old_for_tensorrt_is_told_so(
    gpu: Recorded, build_refused: Refused, exported: Path
) -> None:
    def start(builder: Any, logger: Any) -> None:
        logger.log(sys.modules["tensorrt"].ILogger.WARNING, "CUDA initialization failure with error: 35.")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    gpu.answers["Builder.__init__"] = start
    told = build_refused(exported, "--precision", "fp16")
    assert told.startswith("TensorRT cannot start its builder: ")
    assert "too old for this TensorRT's CUDA; got from TensorRT: CUDA initialization failure with error: 35" in told


@pytest.mark.parametrize(
    ("name", "level", "told"),
    [
        ("8.5.3", "ampere_plus", "this TensorRT has no hardware compatibility; got 8.5.3"),
        ("10.3", "same_compute_capability", "this TensorRT has no hardware_compatibility same_compute_capability; got"),
    ],
)
def test_settings_that_the_version_cannot_do_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    gpu: Recorded,
    build_refused: Refused,
    exported: Path,
    tmp_path: Path,
    name: str,
    level: str,
    told: str,
) -> None:
    put_tensorrt(monkeypatch, VERSIONS[name], tmp_path / "cache")
    settings = tmp_path / "p.toml"
    settings.write_text(f'hardware_compatibility = "{level}"')
    assert told in build_refused(exported, "--precision", "fp16", "--settings", settings)


@pytest.mark.parametrize("name", ["8.5.3", "10.3"])
def test_ctrl_c_ends_a_build_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    exported: Path,
    tmp_path: Path,
    cli: Callable[..., Any],
    files_in: Callable[[Path], list[str]],
    name: str,
) -> None:
    recorded, ended = put_tensorrt(monkeypatch, VERSIONS[name], tmp_path / "cache"), threading.Event()
    put_gpu(monkeypatch)
    before = threading.enumerate()

    def interrupted(*_: Any) -> bytes | None:
        os.kill(os.getpid(), signal.SIGINT)
        if monitor := recorded.set.get("IBuilderConfig.progress_monitor"):  # from 10 on it is asked after each step
            monitor.phase_start("building", None, 1000)
            for step in range(1000):
                if ended.wait(0.01) or not monitor.step_complete("building", step):
                    return None
        ended.wait(10)
        return b"engine"

    recorded.answers["Builder.build_serialized_network"] = interrupted
    told = cli("build", exported, "--precision", "fp16", "-o", tmp_path / "a.engine")
    ended.set()
    for left in {*threading.enumerate()}.difference(before):  # which would go on in the next test's TensorRT
        left.join(10)
    assert (told.code, told.err.lstrip()) == (130, "rtseg: error: interrupted\n")
    assert [file for file in files_in(tmp_path) if not file.startswith("cache")] == []
