"""A message stays one that can be read, whatever stands in the file that it tells of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.errors import ManifestError, RtsegError

WORD = "a" * 100_000


@pytest.mark.parametrize("part", ["what", "got", "expected", "hint"])
def test_a_part_of_a_message_that_is_very_long_loses_its_middle(part: str) -> None:
    message = str(RtsegError(**{"what": "what", part: "begin" + WORD + "end"}))
    assert len(message) < 1100
    assert "beginaaa" in message and " ... aaa" in message and "aaaend" in message


def test_a_message_of_customary_length_is_whole() -> None:
    assert str(RtsegError("w" * 1000, got=1, expected="x")) == "w" * 1000 + "; got 1; expected x"


@pytest.mark.parametrize("field", ["kind", "network", "precision", "format", "sha256", "weights", "device"])
def test_a_word_of_a_manifest_however_long_makes_no_long_message(export_copy: Path, field: str) -> None:
    data = json.loads(manifest_path(export_copy).read_text(encoding="utf-8"))
    manifest_path(export_copy).write_text(json.dumps({**data, field: WORD, "surplus": WORD}), encoding="utf-8")
    with pytest.raises(ManifestError) as raised:
        read_manifest(export_copy, kind="onnx")
    assert len(str(raised.value)) < 3000
    manifest_path(export_copy).write_text(json.dumps({**data, field: WORD, WORD: 1}), encoding="utf-8")
    with pytest.raises(ManifestError) as raised:
        read_manifest(export_copy, kind="onnx")
    assert len(str(raised.value)) < 3000


def test_a_number_beyond_all_floats_makes_a_manifest_damaged(export_copy: Path) -> None:
    data = json.loads(manifest_path(export_copy).read_text(encoding="utf-8"))
    data["image"]["mean"] = [10**400] * 3
    manifest_path(export_copy).write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ManifestError, match="is not an rtseg manifest"):
        read_manifest(export_copy, kind="onnx")


@pytest.mark.parametrize("kind", [RtsegError, ManifestError])
def test_an_error_names_the_part_of_the_documentation_about_its_type(kind: type[RtsegError]) -> None:
    assert kind("what").page == f"docs/troubleshooting.md#{kind.__name__.lower()}"
