"""What `rtseg doctor` finds of TensorRT."""

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
    assert tensorrt_finding().seen == "not installed: no engines"
