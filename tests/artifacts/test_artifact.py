"""An artifact is verified once, and what is read of it is what was verified."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import pytest

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.errors import ManifestError
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

OUTPUT = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)
MANIFEST = Manifest("engine", "affnet", {}, "", "fp16", ImageSpec(64, 96), OUTPUT)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "x.engine"
    path.write_bytes(b"content")
    write_manifest(path, MANIFEST)
    return path


def test_opening_a_path_gives_its_manifest(engine: Path) -> None:
    artifact = Artifact.open(engine, kind="engine")
    assert (artifact.path, artifact.manifest.precision) == (engine, "fp16")


def test_opening_an_artifact_reads_nothing_again(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = Artifact.open(engine)

    def refused(*given: object, **settings: object) -> None:
        raise AssertionError(given)

    monkeypatch.setattr(builtins, "open", refused)
    assert Artifact.open(artifact) is artifact


def test_a_file_that_changes_under_an_open_artifact_is_refused_by_the_next_stage(engine: Path) -> None:
    artifact = Artifact.open(engine)
    content = engine.read_bytes()
    engine.write_bytes(b"another")
    with pytest.raises(ManifestError, match="does not match its manifest"):
        Artifact.open(artifact)
    engine.write_bytes(content)
    assert Artifact.open(artifact) is artifact
    engine.unlink()
    with pytest.raises(ManifestError, match="cannot read"):
        Artifact.open(artifact)


def test_another_kind_is_refused_for_a_path_and_for_an_artifact(engine: Path) -> None:
    for source in (engine, Artifact.open(engine)):
        with pytest.raises(ManifestError, match="another kind of artifact; got engine; expected onnx"):
            Artifact.open(source, kind="onnx")


def test_a_file_that_was_changed_is_refused_when_it_is_opened(engine: Path) -> None:
    engine.write_bytes(b"CONTENT")
    with pytest.raises(ManifestError, match="does not match its manifest"):
        Artifact.open(engine)


def test_what_is_claimed_is_verified_with_the_bytes_that_are_read(engine: Path) -> None:
    claimed = Artifact.claimed(engine, kind="engine")
    assert claimed.content() == b"content"
    engine.write_bytes(b"CONTENT")
    for read in (claimed.content, claimed.verified):
        with pytest.raises(ManifestError, match="does not match its manifest"):
            read()


def test_a_file_that_is_gone_is_refused_by_its_name(engine: Path) -> None:
    claimed = Artifact.claimed(engine)
    engine.unlink()
    with pytest.raises(ManifestError, match=r"cannot read .*x\.engine"):
        claimed.content()
    with pytest.raises(ManifestError, match=r"cannot read .*x\.engine"):
        Artifact.claimed(engine)


def test_an_artifact_says_itself_as_json(engine: Path) -> None:
    stated = Artifact.open(engine).to_json()
    assert stated["path"] == str(engine)
    assert stated["manifest"] == json.loads(manifest_path(engine).read_text())
