"""What goes into a build and what comes out: a graph as TensorRT takes it, the request, and the serialised engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtseg.engines.settings import BuildSettings


@dataclass(frozen=True)
class ReadyGraph:
    """A graph as one kind of TensorRT is given it, so that what builds the engine needs no onnx.

    graph is a serialised ONNX model and sha256 its digest; source_sha256 is that of the file it was made from.
    precision is fp32, fp16 or int8. typed says that the graph holds the types; else builder_flags names the precision.
    account says in words what was done to the graph. products has, for TensorRT for RTX, the precision of each
    convolution and matrix product by name: what the finished engine is held against. notes say what of the comparison
    with the file is left open. rewriting says which graph passes were applied and what they saved
    (engines.rewriting.choice.Rewriting), nothing where none was asked for.
    """

    graph: bytes
    precision: str
    typed: bool
    builder_flags: tuple[str, ...]
    account: str
    source_sha256: str
    sha256: str
    products: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rewriting: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanRequest:
    """What TensorRT is given: of a ReadyGraph what it needs to know, the settings, and a file of measured times.

    Of timing_cache the build starts and to it adds; None leaves it out.
    """

    graph: bytes
    typed: bool
    builder_flags: tuple[str, ...]
    settings: BuildSettings
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
