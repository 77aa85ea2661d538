"""A machine with an emulated GPU and TensorRT, and engines that were built on it or elsewhere."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels_on_cpu import KernelsOnCpu
from tensorrt_api import versions

from emulated_gpu.driver import EmulatedDriver
from emulated_gpu.graphs import write_graph
from emulated_gpu.tensorrt import EmulatedTensorRt, PlanTensor, plan_bytes
from rtseg.artifacts import read_manifest, write_manifest


class EmulatedMachine:
    """What `import tensorrt` and rtseg.cuda find while a test runs."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        kernels: KernelsOnCpu,
        folder: Path,
        *,
        version: str = "8.5.3",
        **of_driver: Any,
    ) -> None:
        self.folder = folder
        self.driver = EmulatedDriver(kernels, **of_driver)
        (described,) = (known for known in versions() if known.name == version)
        self.tensorrt = EmulatedTensorRt(described, self.driver)
        monkeypatch.setitem(sys.modules, "tensorrt", self.tensorrt.module)
        monkeypatch.setattr("rtseg.runners.tensorrt.open_cuda", lambda name, device=0: self.driver)
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
        plain = PlanTensor("UINT8" if parent.output.interface == "labels" else "FLOAT")
        path = graph.with_suffix(".engine")
        release = str(details.get("tensorrt", self.release))
        path.write_bytes(
            plan_bytes(
                graph.read_bytes(), release, source=source or plain, result=result or plain, extra_outputs=extra_outputs
            )
        )
        told = {
            "tensorrt": release,
            "device": self.driver.device.name,
            "compute_capability": "9.0",
            "profile": {"hardware_compatibility": "none"},
            **details,
        }
        write_manifest(path, replace(parent, kind="engine", parent_sha256=parent.sha256, tools={}, details=told))
        return path


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return an image with areas of one colour and borders between them."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    return np.ascontiguousarray(blocks.repeat(16, 0).repeat(16, 1)[:height, :width])
