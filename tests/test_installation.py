"""What `rtseg doctor` finds of TensorRT and of TensorRT for RTX."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

import rtseg.cuda
from rtseg import installation
from rtseg.errors import CudaError


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT 10.3 from the wheels for CUDA 13."""
    module = ModuleType("tensorrt")
    module.__version__ = "10.3.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(installation, "_has_distribution", lambda name: name == "tensorrt-cu13-libs")


def tensorrt_finding() -> installation.Finding:
    return installation._tensorrt()


@pytest.mark.parametrize(("driver", "works"), [((12, 4), False), ((13, 0), True), ((14, 1), True)])
def test_a_tensorrt_for_a_newer_cuda_than_the_drivers_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tensorrt: None, driver: tuple[int, int], works: bool
) -> None:
    monkeypatch.setattr(rtseg.cuda, "open_cuda", lambda: SimpleNamespace(device=SimpleNamespace(driver=driver)))
    finding = tensorrt_finding()
    assert finding.works is works
    if not works:
        assert finding.seen == "10.3.0 is built for CUDA 13, and the driver is of CUDA 12"
        assert "tensorrt-cu12" in finding.mend


def test_without_a_driver_its_version_is_told(monkeypatch: pytest.MonkeyPatch, tensorrt: None) -> None:
    def no_driver() -> None:
        raise CudaError("start", name="no NVIDIA driver")

    monkeypatch.setattr(rtseg.cuda, "open_cuda", no_driver)
    assert tensorrt_finding() == installation.Finding("tensorrt", True, "10.3.0")


def test_a_folder_that_is_called_tensorrt_is_no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    assert tensorrt_finding().seen == "not installed: no engines for this GPU"


def rtx_finding() -> installation.Finding:
    return installation._rtx()


def rtx(version: str) -> ModuleType:
    module = ModuleType("tensorrt_rtx")
    module.__version__ = version  # type: ignore[attr-defined]
    names = ("NONE", "CURRENT", "SM75", "SM86", "SM120")
    module.ComputeCapability = SimpleNamespace(__members__=dict.fromkeys(names))  # type: ignore[attr-defined]
    return module


def test_tensorrt_for_rtx_tells_what_it_builds_for_and_that_it_runs_nothing_without_a_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_driver() -> None:
        raise CudaError("start", name="no NVIDIA driver")

    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx("1.7.1.116"))
    monkeypatch.setattr(rtseg.cuda, "open_cuda", no_driver)
    seen = "1.7.1.116: builds for 7.5, 8.6, 12.0, runs none without a driver"
    assert rtx_finding() == installation.Finding("tensorrt-rtx", True, seen)


@pytest.mark.parametrize(("machine", "mend"), [("x86_64", "pip install 'rtseg[rtx]'"), ("aarch64", "")])
def test_where_tensorrt_for_rtx_has_no_wheels_nothing_is_said_to_install(
    monkeypatch: pytest.MonkeyPatch, machine: str, mend: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.setattr("platform.machine", lambda: machine)
    finding = rtx_finding()
    assert (finding.works, finding.mend) == (False, mend)
