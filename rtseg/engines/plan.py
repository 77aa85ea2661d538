"""What TensorRT made of a graph: the serialised engine and what its inspector tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtseg.engines.profile import BuildProfile


@dataclass(frozen=True)
class PlanRequest:
    """What TensorRT is given. typed says that the graph holds the types; else builder_flags names the precision.

    graph is a serialised ONNX model. timing_cache is the file of measured times to start from and to add to, or None.
    """

    graph: bytes
    typed: bool
    builder_flags: tuple[str, ...]
    profile: BuildProfile
    timing_cache: Path | None


@dataclass(frozen=True)
class Plan:
    """A serialised engine, the inspector's JSON about its layers, and in words what is to be said of the build.

    content is a plain TensorRT plan, which trtexec --loadEngine takes too.
    """

    content: bytes
    layers: str
    notes: tuple[str, ...]
    seconds: float
