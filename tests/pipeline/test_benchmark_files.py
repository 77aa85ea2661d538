"""Networks timed as engines: built by the real TensorRT for RTX, run on an emulated GPU, refused without one."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rtseg
from rtseg.errors import CudaError
from rtseg.runners.cuda.protocol import DeviceInfo
from rtseg.runners.tensorrt.module import rtx_has_wheels
from tests.contracts.tensorrt_machine import LAYERS
from tests.emulated_gpu.builder import put_builder, put_rtx_builder
from tests.emulated_gpu.driver import RTX_4090
from tests.emulated_gpu.injection import put_device, put_no_cuda
from tests.emulated_gpu.machine import EmulatedMachine
from tests.made_once import made_once
from tests.native.kernels_on_cpu import KernelsOnCpu
from tests.observers import Recorder

Cli = Callable[..., Any]
SMALL: dict[str, Any] = {"networks": "fast_scnn", "classes": "camvid", "resolution": "64x96", "seconds": 0.05}
TABLE = ("--table", "haff-abstract", "--resolution", "64x64", "--classes", "streets", "--seconds", "0.05")
BOUNDARIES = ["network", "engine", "frame"]
NO_DRIVER = CudaError("be used here", name="no NVIDIA driver: none", expected="libcuda.so.1")


@pytest.fixture(scope="module")
def made_by_others(made_before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all tests here share: exports, and the choices of graph passes."""

    def fill(folder: Path) -> None:
        shutil.copytree(made_before / "exports", folder / "exports")
        (folder / "rewriting").mkdir()

    return made_once(tmp_path_factory, "made-by-others", fill)


@pytest.fixture(autouse=True)
def cache_with_exports(cache: Path, made_by_others: Path) -> None:
    """Here engines are what is made."""
    cache.mkdir()
    for shared in made_by_others.iterdir():
        (cache / shared.name).symlink_to(shared)


@pytest.fixture
def real_rtx() -> Any:
    """NVIDIA's compiler itself, skipped where it is not installed."""
    if not rtx_has_wheels():
        pytest.skip("TensorRT for RTX has wheels for x86-64 Linux and Windows only")
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")
    return importlib.import_module("tensorrt_rtx")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, kernels_on_cpu: KernelsOnCpu, tmp_path: Path) -> EmulatedMachine:
    """A GPU with TensorRT 10.3 that builds."""
    made = EmulatedMachine(monkeypatch, kernels_on_cpu, tmp_path, version="10.3")
    put_builder(made)
    return made


@pytest.fixture
def rtx_machine(
    real_rtx: Any, monkeypatch: pytest.MonkeyPatch, kernels_on_cpu: KernelsOnCpu, tmp_path: Path
) -> EmulatedMachine:
    """An RTX card whose engines the real compiler proves."""
    made = EmulatedMachine(monkeypatch, kernels_on_cpu, tmp_path, version=None, rtx="rtx-1.5", device=RTX_4090)
    put_rtx_builder(made, monkeypatch, real_rtx)
    return made


# On a GPU


def test_every_boundary_of_a_network_is_timed_in_every_precision(machine: EmulatedMachine) -> None:
    result = rtseg.bench(**SMALL, runners="tensorrt", precisions=("fp16", "int8"))
    rows = [(row["boundary"], row["backend"], row["precision"]) for row in result.rows]
    assert rows == [(boundary, "tensorrt", precision) for boundary in BOUNDARIES for precision in ("fp16", "int8")]
    assert result.is_complete and all(row["verdict"]["passed"] for row in result.rows)
    assert {row["device"] for row in result.rows} == {f"GPU (NVIDIA H200, sm90, TensorRT {machine.release})"}


def test_runners_of_engines_and_of_files_take_turns(machine: EmulatedMachine) -> None:
    result = rtseg.bench(**SMALL, runners=("tensorrt", "onnxruntime"))
    assert [(row["backend"], row["precision"]) for row in result.rows][:2] == [
        ("tensorrt", "fp16"),
        ("onnxruntime", "fp32"),
    ]
    assert all(row["vs_first"] is not None for row in result.rows)


def test_with_nothing_said_the_gpu_is_used_and_that_is_told(machine: EmulatedMachine) -> None:
    recorder = Recorder()
    result = rtseg.bench(**SMALL, observer=recorder)
    assert {(row["backend"], row["precision"]) for row in result.rows} == {("tensorrt", "fp16")}
    assert "timing on NVIDIA H200 with tensorrt; --runner onnxruntime is the CPU" in recorder.notes


def test_engines_for_an_rtx_card_fill_every_cell_of_a_papers_table(rtx_machine: EmulatedMachine, cli: Cli) -> None:
    told = cli("bench", *TABLE, "--runner", "tensorrt-rtx", "--precision", "fp16", "--precision", "int8", "--json")
    assert told.code == 0, told.err
    document = json.loads(told.out)
    assert document["contenders"] == [{"runner": "tensorrt-rtx", "precision": name} for name in ("fp16", "int8")]
    cells = [cell for line in document["lines"] for cell in line["cells"] if cell["rows"] != [None, None]]
    assert cells and all(value is not None for cell in cells for value in cell["here"])
    assert {row["verdict"]["passed"] for row in document["rows"]} == {True}
    assert {row["device"] for row in document["rows"]} == {
        f"GPU (NVIDIA GeForce RTX 4090, sm89, TensorRT for RTX {rtx_machine.rtx.release})"
    }


def test_what_is_built_for_a_card_is_for_its_compute_capability(rtx_machine: EmulatedMachine, tmp_path: Path) -> None:
    rtseg.bench(**SMALL, runners="tensorrt-rtx")
    manifests = [json.loads(path.read_text()) for path in (tmp_path / "cache").rglob("*.engine.json")]
    assert [manifest["details"]["compute_capabilities"] for manifest in manifests] == [["8.9"]] * 2


def test_an_engine_that_is_not_as_asked_is_a_row_that_says_why_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, kernels_on_cpu: KernelsOnCpu, tmp_path: Path
) -> None:
    put_builder(EmulatedMachine(monkeypatch, kernels_on_cpu, tmp_path, version="10.3"), LAYERS["fp32"])
    result = rtseg.bench(**SMALL, runners=("tensorrt", "onnxruntime"), precisions="fp16")
    built, file = result.rows[:2]
    assert (built["word"], built["summary"]) == ("not built", None)
    assert "FP32" in built["reason"]
    assert file["summary"] is not None
    assert not result.is_complete


# Without a GPU


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    put_no_cuda(monkeypatch, NO_DRIVER)


@pytest.mark.usefixtures("no_gpu", "real_rtx")
def test_without_a_driver_all_is_built_and_proven_and_each_time_says_so(cli: Cli, tmp_path: Path) -> None:
    told = cli("bench", *TABLE, "--runner", "tensorrt-rtx")
    assert told.code == 1
    assert "no driver" in next(line for line in told.out.splitlines() if line.strip().startswith("tensorrt-rtx fp16"))
    assert "precision of the engines, by audit: 1 proven" in told.out
    assert told.err.splitlines()[-1] == "1 of 1 rows have no time: no driver"
    (engine,) = (tmp_path / "cache").rglob("*.engine")
    assert engine.stat().st_size > 1 << 20


@pytest.mark.usefixtures("no_gpu")
def test_with_nothing_said_and_no_gpu_it_is_onnx_runtime_on_the_cpu() -> None:
    recorder = Recorder()
    result = rtseg.bench(**SMALL, observer=recorder)
    assert {(row["backend"], row["precision"]) for row in result.rows} == {("onnxruntime", "fp32")}
    assert not [note for note in recorder.notes if "timing on" in note]


@pytest.mark.usefixtures("no_gpu")
def test_a_product_that_is_not_installed_costs_its_own_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    result = rtseg.bench(**SMALL, runners=("tensorrt", "onnxruntime"), precisions="fp32")
    assert [(row["word"], row["summary"] is None) for row in result.rows][:2] == [("not installed", True), ("", False)]
    assert "pip install 'rtseg[gpu]'" in result.rows[0]["reason"]


def test_a_gpu_that_no_engine_here_is_for_is_left_to_the_cpu_with_a_warning(
    real_rtx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    put_device(monkeypatch, DeviceInfo(0, "NVIDIA H100", (9, 0), 80 << 30, 132, (13, 0)))
    recorder = Recorder()
    assert rtseg.bench(**SMALL, observer=recorder).is_complete
    assert recorder.warnings[0].startswith("NVIDIA H100 is not used")
