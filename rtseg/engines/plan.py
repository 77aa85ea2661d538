"""Inputs and result of a build: the prepared graph, the request, and the serialised engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtseg.engines.settings import BuildSettings


@dataclass(frozen=True)
class ReadyGraph:
    """A graph prepared for one kind of TensorRT, so that building the engine needs no onnx.

    graph is a serialised ONNX model and sha256 its digest; source_sha256 is the digest of the source file. precision is
    fp32, fp16 or int8. typed is True if the graph holds the types; otherwise builder_flags name the precision. account
    is a sentence about the changes to the graph. products, for TensorRT for RTX, maps each convolution and matrix
    product to its precision, against which the finished engine is checked; macs maps it to its multiply-accumulates.
    notes say what the comparison with the file could not check. rewriting holds the applied graph passes and their
    savings (engines.rewriting.choice.Rewriting), empty if none was requested.
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
    macs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanRequest:
    """The request to TensorRT: the needed fields of a ReadyGraph, the settings, and a file of measured times.

    The build reads and updates timing_cache; None disables it.
    """

    graph: bytes
    typed: bool
    builder_flags: tuple[str, ...]
    settings: BuildSettings
    timing_cache: Path | None


@dataclass(frozen=True)
class Plan:
    """A serialised engine, the inspector's JSON about its layers, and notes about the build.

    content is a plain TensorRT plan, which trtexec --loadEngine also accepts.
    """

    content: bytes
    layers: str
    notes: tuple[str, ...]
    seconds: float
