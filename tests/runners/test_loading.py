"""What load verifies before it gives a segmenter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from rtseg.artifacts import artifact
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.files import read_bytes
from rtseg.artifacts.manifest import manifest_path, read_manifest, write_manifest
from rtseg.errors import ManifestError
from rtseg.runners.loading import load
from tests.emulated_gpu.graphs import write_graph
from tests.emulated_gpu.machine import EmulatedMachine


@pytest.fixture()
def graph(tmp_path: Path) -> Path:
    """An exported file and its manifest, to be changed."""
    return write_graph(tmp_path / "graph.onnx")


def test_file_and_manifest_travel_together(graph: Path) -> None:
    assert load(graph, threads=1)(np.zeros((64, 96, 3), np.uint8)).shape == (64, 96)


def test_a_file_without_its_manifest_is_refused(graph: Path) -> None:
    manifest_path(graph).unlink()
    with pytest.raises(ManifestError, match=r"graph\.onnx has no manifest beside it, graph\.onnx\.json"):
        load(graph)


def test_a_file_of_which_one_byte_changed_is_refused(graph: Path) -> None:
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(
        ManifestError, match=r"does not match its manifest; got sha256 .*Try: copy the file and its manifest again"
    ):
        load(graph)


def rewritten(path: Path, key: str, value: str | None) -> None:
    """Change a metadata property of the graph and sign the manifest anew."""
    manifest = read_manifest(path, kind="onnx")
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props if entry.key != key}
    onnx.helper.set_model_props(model, properties if value is None else {**properties, key: value})
    onnx.save(model, path)
    write_manifest(path, manifest)


@pytest.mark.parametrize("value", [None, "{}"])
@pytest.mark.parametrize("key", ["rtseg.image", "rtseg.output"])
def test_a_graph_that_states_another_contract_than_its_manifest_is_refused(
    graph: Path, key: str, value: str | None
) -> None:
    rewritten(graph, key, value)
    with pytest.raises(ManifestError, match=rf"state different contracts: {key}; got {value or 'nothing'}"):
        load(graph)


def test_an_engine_is_read_once_to_be_opened(machine: EmulatedMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = machine.engine(machine.graph())
    read: list[str] = []
    monkeypatch.setattr(artifact, "read_bytes", lambda path: read.append(path.name) or read_bytes(path))
    monkeypatch.setattr("rtseg.artifacts.manifest.sha256_of", lambda path: pytest.fail(f"{path} is digested"))
    with load(engine) as segmenter:
        assert segmenter(np.zeros((64, 96, 3), np.uint8)).shape == (64, 96)
    assert read.count(engine.name) == 1


def test_an_artifact_that_is_open_is_not_verified_again(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Artifact.open(graph)
    monkeypatch.setattr("rtseg.artifacts.manifest.sha256_of", lambda path: pytest.fail(f"{path} is digested"))
    load(opened, threads=1).close()
