"""A build up to the point where TensorRT is needed, and what is written once it has answered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from rtseg.artifacts.details import EngineDetails, details_from_json
from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.engines.building import ready_graph
from rtseg.engines.engine_cache import EngineKey
from rtseg.engines.engine_file import BuiltEngine, write_engine
from rtseg.engines.layers_file import layers_beside
from rtseg.engines.plan import Plan
from rtseg.engines.platform import TensorRtPlatform
from rtseg.engines.proof import prove_precision
from rtseg.engines.settings import BuildSettings
from rtseg.errors import ManifestError, QuantizationError, SpecError, WriteError

TARGET = TensorRtPlatform("10.3.0", "NVIDIA H200", (9, 0))
PLAN = Plan(b"ftrt not read here", '{"Layers": []}', ("left out: tiling needs TensorRT 10.9",), 1.23456)


def written(exported: Path, engine: Path, *, precision: str = "fp16") -> BuiltEngine:
    """Write what a build of the file would write, had TensorRT answered with PLAN."""
    ready = ready_graph(exported, precision, TARGET.tensorrt)
    key = EngineKey.of(ready, BuildSettings(), TARGET)
    parent = read_manifest(exported, kind="onnx")
    proof = prove_precision(PLAN.layers, precision)
    return write_engine(engine, PLAN, parent, key, ready, proof, from_cache=False)


def test_a_typed_tensorrt_is_given_an_fp16_graph_and_an_older_one_flags(exported: Path) -> None:
    typed = ready_graph(exported, "fp16", "10.3.0")
    flags = ready_graph(exported, "fp16", "8.5.3.1", rewrite=False)
    elements = {entry.data_type for entry in onnx.load_from_string(typed.graph).graph.initializer}
    assert (typed.typed, typed.builder_flags) == (True, ())
    assert (flags.typed, flags.builder_flags) == (False, ("FP16",))
    assert hashlib.sha256(typed.graph).hexdigest() == typed.sha256
    assert onnx.TensorProto.FLOAT16 in elements
    assert flags.sha256 == flags.source_sha256 == read_manifest(exported, kind="onnx").sha256


def test_a_precision_or_version_that_cannot_be_is_refused(exported: Path) -> None:
    with pytest.raises(QuantizationError, match="INT8 is not in the graph"):
        ready_graph(exported, "int8", "10.3.0")
    with pytest.raises(SpecError, match="too old"):
        ready_graph(exported, "fp16", "7.2.3")


def test_engine_manifest_and_layers_are_written_and_tell_where_the_engine_is_from(
    exported: Path, tmp_path: Path
) -> None:
    built = written(exported, tmp_path / "a.engine")
    parent = read_manifest(exported, kind="onnx")
    manifest = read_manifest(built.path, kind="engine")
    assert manifest == built.manifest
    assert built.path.read_bytes() == PLAN.content
    assert built.layers == layers_beside(built.path) == tmp_path / "a.engine.layers.json"
    assert built.layers.read_text() == PLAN.layers
    assert (manifest.precision, manifest.parent_sha256, manifest.device) == (
        "fp16",
        parent.sha256,
        "NVIDIA H200 (sm90)",
    )
    assert (manifest.image, manifest.output, manifest.network) == (parent.image, parent.output, parent.network)
    assert manifest.tools["tensorrt"] == "10.3.0"


def test_the_manifest_holds_everything_that_decided_the_build(exported: Path, tmp_path: Path) -> None:
    details = written(exported, tmp_path / "a.engine").manifest.details
    ready = ready_graph(exported, "fp16", "10.3.0")
    assert details.compute_capabilities == ("9.0",)
    assert (details.typed, details.builder_flags, details.lowering) == (True, (), ready.account)
    assert (details.source_sha256, details.lowered_sha256) == (ready.source_sha256, ready.sha256)
    assert details.layers_sha256 == hashlib.sha256(PLAN.layers.encode()).hexdigest()
    assert details.settings == BuildSettings().to_json()
    assert (details.notes, details.build_seconds) == (tuple(PLAN.notes), 1.235)
    assert isinstance(details, EngineDetails)
    assert details_from_json(json.loads(json.dumps(details.to_json()))) == details


def test_the_same_graph_is_lowered_to_the_same_bytes(exported: Path) -> None:
    digests = {ready_graph(exported, "fp16", "10.3.0").sha256 for _ in range(2)}
    assert len(digests) == 1
    assert digests != {ready_graph(exported, "fp32", "10.3.0").sha256}


def test_an_engine_that_cannot_be_written_leaves_nothing(
    exported: Path, tmp_path: Path, files_in: Callable[[Path], list[str]]
) -> None:
    (tmp_path / "a.engine.layers.json").mkdir()
    with pytest.raises(WriteError):
        written(exported, tmp_path / "a.engine")
    assert files_in(tmp_path) == []


def test_an_engine_that_was_altered_is_refused_with_the_command_that_makes_it(exported: Path, tmp_path: Path) -> None:
    built = written(exported, tmp_path / "a.engine")
    built.path.write_bytes(b"other")
    with pytest.raises(ManifestError, match="Try: run rtseg build ONNX --precision fp16"):
        read_manifest(built.path, kind="engine")
    assert manifest_path(built.path).exists()
