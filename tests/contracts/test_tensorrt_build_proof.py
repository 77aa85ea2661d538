"""The proof of an engine's precision as part of its build: what it decides, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.engines.building import build_engine
from rtseg.errors import EngineError
from tests.contracts.tensorrt_api import versions
from tests.contracts.tensorrt_double import Recorded
from tests.contracts.tensorrt_machine import LAYERS, builds, put_gpu, put_layers, put_tensorrt


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorded:
    """The newest TensorRT and a GPU, with a cache of their own; what follows is the same in all."""
    put_gpu(monkeypatch)
    return put_tensorrt(monkeypatch, max(versions(), key=lambda version: version.number), tmp_path / "cache")


def test_an_engine_that_is_not_what_was_asked_for_gets_no_name_but_is_kept(
    recorded: Recorded, exported: Path, tmp_path: Path, files_in: Callable[[Path], list[str]]
) -> None:
    put_layers(recorded, LAYERS["fp32"])
    for _ in range(2):
        with pytest.raises(
            EngineError,
            match=r"^fp16 was requested, but the compiler chose another .* stays in the cache. Try: .*--keep-anyway$",
        ):
            build_engine(exported, tmp_path / "a.engine", precision="fp16")
    assert not [name for name in files_in(tmp_path) if name.startswith("a.engine")]
    built = build_engine(exported, tmp_path / "a.engine", precision="fp16", keep_anyway=True)
    assert (built.from_cache, builds(recorded)) == (True, 1)
    assert not built.verdict.passed
    audit = read_manifest(built.path, kind="engine").details.audit
    assert (audit["verdict"]["passed"], audit["shares"]["weighted"]) == (False, {"tf32": 4})


def test_an_engine_whose_layers_cannot_be_read_is_written_and_said_to_be_unproven(
    recorded: Recorded, exported: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    put_layers(recorded, '{"Strata": []}')
    told = cli("build", exported, "--precision", "fp16", "-o", tmp_path / "a.engine")
    assert (told.code, told.out.strip()) == (0, str(tmp_path / "a.engine"))
    assert "the precision fp16 is not proven: the inspector's text is not what" in told.err
    audit = read_manifest(tmp_path / "a.engine", kind="engine").details.audit
    assert audit["shares"] is None and audit["verdict"]["undecided"]


def test_the_command_tells_the_shares_and_ends_with_the_verdict(
    recorded: Recorded, exported: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    put_layers(recorded, LAYERS["fp32"])
    command = ("build", exported, "--precision", "fp16", "-o", tmp_path / "a.engine")
    told = cli(*command)
    *_, shares, account, verdict = told.err.splitlines()
    assert account.startswith("6 kernels, 0 of which only move or convert data; ")
    assert shares.startswith("TF32 4 of 4 convolutions and matrix products; ")
    assert verdict.startswith("rtseg: error: fp16 was requested, but the compiler chose another precision; got all 4 ")
    assert (told.code, told.out, (tmp_path / "a.engine").exists()) == (1, "", False)
    kept = cli(*command, "--keep-anyway", "--json")
    facts = json.loads(kept.out)
    assert (kept.code, facts["verdict"]["passed"], facts["shares"]["weighted"]) == (1, False, {"tf32": 4})
    assert "rtseg: error: fp16 was requested, but the compiler chose another precision" in kept.err
    assert (tmp_path / "a.engine").read_bytes() == b"engine"


def test_a_file_that_lost_its_manifest_is_built_by_the_contracts_in_its_metadata(
    recorded: Recorded, export_copy: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    lost = read_manifest(export_copy, kind="onnx")
    manifest_path(export_copy).unlink()
    told = cli("build", export_copy, "--precision", "fp16", "-o", tmp_path / "a.engine")
    assert "copy.onnx has no manifest: its contracts are read from its metadata" in told.err
    manifest = read_manifest(tmp_path / "a.engine", kind="engine")
    assert (told.code, manifest.image, manifest.output) == (0, lost.image, lost.output)
    assert manifest.parent_sha256 == lost.sha256
