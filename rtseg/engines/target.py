"""What an engine is built for: one TensorRT on one kind of GPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtseg.cuda.protocol import CudaDriver
from rtseg.tensorrt.release import tensorrt_release


@dataclass(frozen=True)
class BuildTarget:
    """tensorrt is a version such as "10.3.0", device the GPU's name, compute_capability such as (9, 0)."""

    tensorrt: str
    device: str
    compute_capability: tuple[int, int]

    @property
    def architecture(self) -> str:
        """What file names and compilers call the GPU, such as sm90."""
        return "sm{}{}".format(*self.compute_capability)

    def default_name(self, graph: Path, precision: str) -> Path:
        """Return the name beside the graph's that says what is inside: NAME.int8.trt10.3.0-sm90.engine."""
        stem = graph.stem if graph.stem.endswith(f".{precision}") else f"{graph.stem}.{precision}"
        return graph.with_name(f"{stem}.trt{self.tensorrt}-{self.architecture}.engine")


def build_target(driver: CudaDriver) -> BuildTarget:
    """Return the installed TensorRT and the driver's GPU. Raises MissingDependencyError and EngineError."""
    release = tensorrt_release("building an engine")
    return BuildTarget(release, driver.device.name, driver.device.compute_capability)
