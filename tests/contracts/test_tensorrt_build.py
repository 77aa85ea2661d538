"""`rtseg build` from file to file, TensorRT being a stand-in made from its API and the GPU a name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtseg.artifacts.manifest import read_manifest
from rtseg.engines.building import build_engine, build_ready, ready_graph
from rtseg.engines.settings import BuildSettings
from rtseg.errors import EngineError, QuantizationError
from rtseg.runners.cuda.protocol import DeviceInfo
from tests.contracts.tensorrt_api import versions
from tests.contracts.tensorrt_double import Recorded
from tests.contracts.tensorrt_machine import LAYERS, builds, put_gpu, put_layers, put_tensorrt
from tests.emulated_gpu.graphs import write_graph
from tests.observers import Recorder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one convolution; not to be changed."""
    return write_graph(tmp_path_factory.mktemp("exported") / "small.onnx")


@pytest.fixture(params=versions(), ids=lambda version: version.name)
def recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorded:
    """A version of TensorRT and a GPU, with a cache of their own."""
    put_gpu(monkeypatch)
    return put_tensorrt(monkeypatch, request.param, tmp_path / "cache")


def is_typed() -> bool:
    return int(sys.modules["tensorrt"].__version__.split(".")[0]) >= 10


def test_an_engine_is_built_once_and_then_taken_from_the_cache(
    recorded: Recorded, exported: Path, tmp_path: Path
) -> None:
    first = build_engine(exported, tmp_path / "a.engine", precision="fp16")
    second = build_engine(exported, tmp_path / "b.engine", precision="fp16")
    assert (first.from_cache, second.from_cache, builds(recorded)) == (False, True, 1)
    assert second.path.read_bytes() == b"engine"
    assert read_manifest(second.path, kind="engine") == first.manifest
    assert second.layers.read_text() == LAYERS["fp16"]


def test_what_was_built_for_something_else_is_never_served(
    recorded: Recorded, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_engine(exported, tmp_path / "a.engine", precision="fp16")
    put_layers(recorded, LAYERS["fp32"])
    build_engine(exported, tmp_path / "a.engine", precision="fp32")
    put_layers(recorded, LAYERS["fp16"])
    build_engine(exported, tmp_path / "a.engine", precision="fp16", settings=BuildSettings(workspace_mib=64))
    put_gpu(monkeypatch, DeviceInfo(0, "NVIDIA H100", (9, 0), 80 << 30, 132, (13, 0)))
    build_engine(exported, tmp_path / "a.engine", precision="fp16")
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", f"{sys.modules['tensorrt'].__version__}.7")
    build_engine(exported, tmp_path / "a.engine", precision="fp16")
    assert builds(recorded) == 5


def test_tensorrt_is_given_the_graph_or_the_flags_of_its_version(
    recorded: Recorded, exported: Path, tmp_path: Path
) -> None:
    built = build_engine(exported, tmp_path / "a.engine", precision="fp16", rewrite=False)
    flags = [repr(flag) for (flag,) in recorded.arguments("IBuilderConfig.set_flag")]
    ((graph,),) = recorded.arguments("OnnxParser.parse")
    assert flags == ([] if is_typed() else ["BuilderFlag.FP16"])
    assert (graph == exported.read_bytes()) != is_typed()
    assert built.manifest.details.builder_flags == (() if is_typed() else ("FP16",))


def test_the_name_says_what_is_inside_when_none_is_given(recorded: Recorded, export_copy: Path) -> None:
    built = build_engine(export_copy, precision="fp16")
    release = sys.modules["tensorrt"].__version__
    assert built.path == export_copy.with_name(f"copy.fp16.trt{release}-sm90.engine")


def test_notes_are_told_when_it_is_built_and_when_it_is_served(
    recorded: Recorded, exported: Path, tmp_path: Path
) -> None:
    settings = BuildSettings(tiling="fast", optimization_level=5)
    built, served = Recorder(), Recorder()
    for observer in (built, served):
        build_engine(exported, tmp_path / "a.engine", precision="fp16", settings=settings, observer=observer)
    assert built.notes == served.notes
    version = tuple(map(int, sys.modules["tensorrt"].__version__.split(".")[:2]))
    lacking = {"optimization_level": version < (8, 6), "tiling": version < (10, 9)}
    for setting, lacks in lacking.items():
        assert any(setting in note for note in built.notes) is lacks


def test_a_refusal_leaves_nothing_and_an_older_engine_as_it_was(
    recorded: Recorded, exported: Path, tmp_path: Path, files_in: Callable[[Path], list[str]]
) -> None:
    (tmp_path / "a.engine").write_bytes(b"older")
    recorded.answers["Builder.build_serialized_network"] = lambda *_: None
    with pytest.raises(EngineError, match="could not build"):
        build_engine(exported, tmp_path / "a.engine", rewrite=False)
    with pytest.raises(QuantizationError, match="INT8 is not in the graph"):
        build_engine(exported, tmp_path / "a.engine", precision="int8")
    assert files_in(tmp_path) == ["a.engine"]
    assert (tmp_path / "a.engine").read_bytes() == b"older"


def test_a_graph_made_ready_elsewhere_is_built_without_onnx(
    recorded: Recorded, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = ready_graph(exported, "fp16", sys.modules["tensorrt"].__version__)
    parent = read_manifest(exported, kind="onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    built = build_ready(ready, parent, tmp_path / "a.engine")
    assert recorded.arguments("OnnxParser.parse") == [(ready.graph,)]
    assert (built.verdict.passed, built.manifest.parent_sha256) == (True, parent.sha256)
    assert built.manifest.details.lowered_sha256 == ready.sha256


def test_the_engine_does_not_take_the_place_of_what_it_is_built_from(recorded: Recorded, export_copy: Path) -> None:
    content = export_copy.read_bytes()
    with pytest.raises(EngineError, match="would overwrite"):
        build_engine(export_copy, export_copy)
    assert export_copy.read_bytes() == content


def test_the_command_prints_the_path_or_everything(
    recorded: Recorded, exported: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    plain = cli("build", exported, "--precision", "fp16", "-o", tmp_path / "a.engine")
    assert (plain.code, plain.out.strip()) == (0, str(tmp_path / "a.engine"))
    assert "fp16 for NVIDIA H200 (sm90), TensorRT " in plain.err
    assert "FP16 4 of 4 convolutions and matrix products; reformat layers: 1, Q/DQ that stand alone: none" in plain.err
    assert f"next: rtseg validate {tmp_path / 'a.engine'} --against {exported} --data five:DIR" in plain.err
    assert plain.err.endswith(f"rtseg bench {tmp_path / 'a.engine'}\n")
    told = cli("build", exported, "--precision", "fp16", "-o", tmp_path / "a.engine", "--json")
    facts = json.loads(told.out)
    assert facts["from_cache"] is True
    assert (facts["verdict"]["passed"], facts["shares"]["weighted"]) == (True, {"fp16": 4})
    assert facts["manifest"] == read_manifest(tmp_path / "a.engine", kind="engine").to_json()
