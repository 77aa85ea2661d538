"""The platform of an engine: one TensorRT release on one kind of GPU, or TensorRT for RTX and one or more kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtseg.engines.lowering.versions import TURING, Capability
from rtseg.errors import EngineError
from rtseg.runners.cuda.protocol import CudaDriver
from rtseg.runners.tensorrt.module import RTX, TENSORRT
from rtseg.runners.tensorrt.release import tensorrt_release

PURPOSE = "building an engine"


class Platform(ABC):
    """The release and the GPUs that, with graph and settings, decide which engine is built. A manifest records them."""

    runtime: str

    ignored_settings: tuple[str, ...] = ()
    """Fields of BuildSettings that have no effect here."""

    @property
    @abstractmethod
    def suffix(self) -> str:
        """The platform's part of a file name, such as trt10.3.0-sm90."""

    @property
    @abstractmethod
    def device_words(self) -> str:
        """A phrase for the GPUs that the engine is built for."""

    @property
    @abstractmethod
    def tools(self) -> Mapping[str, str]:
        """The release that builds the engine, by package name."""

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """Return the fields of EngineDetails that preflight reads from an engine's manifest."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return every field that decides which engine is built, as plain values."""

    def default_name(self, graph: Path, precision: str) -> Path:
        """Return a path beside the graph whose name states precision and platform: NAME.int8.trt10.3.0-sm90.engine."""
        stem = graph.stem if graph.stem.endswith(f".{precision}") else f"{graph.stem}.{precision}"
        return graph.with_name(f"{stem}.{self.suffix}.engine")


@dataclass(frozen=True)
class TensorRtPlatform(Platform):
    """tensorrt is a version such as "10.3.0", device the GPU's name, compute_capability such as (9, 0)."""

    tensorrt: str
    device: str
    compute_capability: Capability

    runtime = TENSORRT

    @property
    def architecture(self) -> str:
        """The GPU's architecture in file names and compilers, such as sm90."""
        return architecture(self.compute_capability)

    @property
    def suffix(self) -> str:
        """Such as trt10.3.0-sm90."""
        return f"trt{self.tensorrt}-{self.architecture}"

    @property
    def device_words(self) -> str:
        """The GPU that the engine is built on."""
        return f"{self.device} ({self.architecture})"

    @property
    def tools(self) -> Mapping[str, str]:
        """TensorRT's version."""
        return {"tensorrt": self.tensorrt}

    def details(self) -> dict[str, Any]:
        """Return runtime, version, GPU and compute capability."""
        return {
            "runtime": self.runtime,
            "release": self.tensorrt,
            "gpu": self.device,
            "compute_capabilities": (capability_text(self.compute_capability),),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {**asdict(self), "compute_capability": list(self.compute_capability)}


@dataclass(frozen=True)
class RtxPlatform(Platform):
    """release is TensorRT for RTX's, such as "1.7.1.116"; capabilities are those that the engine is compiled for.

    portable is True if none was named: the engine then runs on these and on every later one, for which the driver
    compiles it again.
    """

    release: str
    capabilities: tuple[Capability, ...]
    portable: bool = False

    runtime = RTX
    ignored_settings = ("optimization_level", "tiling", "avg_timing_iterations", "timing_cache", "external_tactics")

    def __post_init__(self) -> None:
        if TURING in self.capabilities and len(self.capabilities) > 1:
            raise EngineError(
                "compute capability 7.5 needs its own engine: together with 7.5 the others lose INT8 and grow",
                got=", ".join(map(capability_text, self.capabilities)),
                expected="7.5 alone, or others",
                hint="build twice, once with --compute-capability 7.5 alone",
            )

    @property
    def suffix(self) -> str:
        """Such as rtx1.7.1.116-sm86-sm89, or rtx1.7.1.116-portable."""
        which = "portable" if self.portable else "-".join(map(architecture, self.capabilities))
        return f"rtx{self.release}-{which}"

    @property
    def device_words(self) -> str:
        """The compute capabilities."""
        listed = ", ".join(map(capability_text, self.capabilities))
        return f"GPUs of compute capability {listed}{' and newer' if self.portable else ''}"

    @property
    def tools(self) -> Mapping[str, str]:
        """TensorRT for RTX's version."""
        return {"tensorrt-rtx": self.release}

    def details(self) -> dict[str, Any]:
        """Return runtime, version and compute capabilities."""
        return {
            "runtime": self.runtime,
            "release": self.release,
            "compute_capabilities": tuple(capability_text(capability) for capability in self.capabilities),
            "portable": self.portable,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "runtime": self.runtime,
            "tensorrt_rtx": self.release,
            "compute_capabilities": [capability_text(capability) for capability in self.capabilities],
            "portable": self.portable,
        }


def architecture(capability: Capability) -> str:
    """Return the name of a compute capability in file names and compilers: sm90 for (9, 0)."""
    return "sm{}{}".format(*capability)


def capability_text(capability: Capability) -> str:
    """Return a compute capability as NVIDIA writes it: 9.0 for (9, 0)."""
    return "{}.{}".format(*capability)


def tensorrt_platform(driver: CudaDriver) -> TensorRtPlatform:
    """Return the platform of the installed TensorRT and GPU. Raises MissingDependencyError and EngineError."""
    release = tensorrt_release(PURPOSE)
    return TensorRtPlatform(release, driver.device.name, driver.device.compute_capability)
