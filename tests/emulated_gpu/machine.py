"""A machine with an emulated GPU, TensorRT or TensorRT for RTX, and engines that were built on it or elsewhere."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtseg.artifacts.details import EngineDetails
from rtseg.artifacts.manifest import Manifest, read_manifest, write_manifest
from rtseg.engines.platform import RtxPlatform, capability_text
from rtseg.errors import RtsegError
from rtseg.runners.loading import load
from tests.contracts.tensorrt_api import Version, every_version
from tests.emulated_gpu.driver import EmulatedDriver
from tests.emulated_gpu.graphs import write_graph
from tests.emulated_gpu.injection import put_driver
from tests.emulated_gpu.rtx import EmulatedRtx, RtxPlan, rtx_plan_bytes
from tests.emulated_gpu.tensorrt import EmulatedTensorRt, PlanTensor, plan_bytes
from tests.native.kernels_on_cpu import KernelsOnCpu


class EmulatedMachine:
    """What `import tensorrt`, `import tensorrt_rtx` and rtseg.runners.cuda find while a test runs.

    version is TensorRT's, rtx TensorRT for RTX's; None is a product that is not installed.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        kernels: KernelsOnCpu,
        folder: Path,
        *,
        version: str | None = "8.5.3",
        rtx: str | None = None,
        **of_driver: Any,
    ) -> None:
        self.folder = folder
        self.driver = EmulatedDriver(kernels, **of_driver)
        if version is not None:
            self.tensorrt = EmulatedTensorRt(described(version), self.driver)
        if rtx is not None:
            self.rtx = EmulatedRtx(described(rtx), self.driver)
        for name, product in (("tensorrt", version and self.tensorrt), ("tensorrt_rtx", rtx and self.rtx)):
            monkeypatch.setitem(sys.modules, name, product.module if product else None)
        put_driver(monkeypatch, self.driver)
        monkeypatch.setenv("RTSEG_CACHE", str(folder / "cache"))

    @property
    def release(self) -> str:
        return str(self.tensorrt.module.__version__)

    def graph(self, interface: str = "logits", **options: Any) -> Path:
        """Return an exported file of that interface."""
        return write_graph(self.folder / f"{interface}.onnx", interface, **options)

    def engine(
        self,
        graph: Path,
        *,
        source: PlanTensor | None = None,
        result: PlanTensor | None = None,
        extra_outputs: int = 0,
        **details: Any,
    ) -> Path:
        """Return the engine of an exported file, built here; details are what its manifest says otherwise."""
        parent = read_manifest(graph, kind="onnx")
        ends = _ends(parent, source, result)
        path = graph.with_suffix(".engine")
        release = str(details.get("release", self.release))
        path.write_bytes(plan_bytes(graph.read_bytes(), release, **ends, extra_outputs=extra_outputs))
        told = {
            "runtime": "tensorrt",
            "release": release,
            "gpu": self.driver.device.name,
            "compute_capabilities": (capability_text(self.driver.device.compute_capability),),
            "settings": {"hardware_compatibility": "none"},
            **details,
        }
        return _as_engine_of(parent, path, told)

    def rtx_engine(
        self,
        graph: Path,
        plan: RtxPlan | None = None,
        *,
        source: PlanTensor | None = None,
        result: PlanTensor | None = None,
        extra_outputs: int = 0,
        **details: Any,
    ) -> Path:
        """Return the engine that TensorRT for RTX makes of an exported file, by default for this machine's GPU alone.

        details are what its manifest says otherwise.
        """
        plan = plan or RtxPlan(self.rtx.release, (self.driver.device.compute_capability,))
        parent = read_manifest(graph, kind="onnx")
        ends = _ends(parent, source, result)
        path = graph.with_suffix(".rtx.engine")
        path.write_bytes(rtx_plan_bytes(graph.read_bytes(), plan, **ends, extra_outputs=extra_outputs))
        platform = RtxPlatform(plan.release, plan.capabilities, plan.portable)
        return _as_engine_of(parent, path, {**platform.details(), **details})


def described(name: str) -> Version:
    """Return the version of either product that has that name."""
    (found,) = (known for known in every_version() if known.name == name)
    return found


def _ends(parent: Manifest, source: PlanTensor | None, result: PlanTensor | None) -> dict[str, PlanTensor]:
    plain = PlanTensor("UINT8" if parent.output.interface == "labels" else "FLOAT")
    return {"source": source or plain, "result": result or plain}


def _as_engine_of(parent: Manifest, path: Path, details: dict[str, Any]) -> Path:
    write_manifest(
        path, replace(parent, kind="engine", parent_sha256=parent.sha256, tools={}, details=EngineDetails(**details))
    )
    return path


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return an image with areas of one colour and borders between them."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    return np.ascontiguousarray(blocks.repeat(16, 0).repeat(16, 1)[:height, :width])


def refusal(path: Path, kind: type[RtsegError]) -> str:
    """Return why an engine cannot be opened; nothing holds on to the exception, and to what that passed by."""
    try:
        load(path)
    except kind as error:
        assert type(error) is kind
        return str(error)
    pytest.fail("it was opened")
