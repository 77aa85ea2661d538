"""The store of engines: the same request finds its engine, and nothing else does."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from rtseg.engines import store as store_module
from rtseg.engines.plan import Plan
from rtseg.engines.profile import BuildProfile
from rtseg.engines.store import EngineKey, EngineStore
from rtseg.engines.target import BuildTarget
from rtseg.errors import WriteError

TARGET = BuildTarget("10.3.0", "NVIDIA H200", (9, 0))
KEY = EngineKey("0" * 64, "fp16", True, (), BuildProfile(), TARGET)
PLAN = Plan(b"ftrt engine", '{"Layers": ["é"]}', ("left out: tiling",), 12.5)

CHANGES: dict[str, list[Any]] = {
    "lowered_sha256": ["1" * 64],
    "precision": ["int8"],
    "typed": [False],
    "builder_flags": [("FP16",)],
    "profile": [
        BuildProfile(workspace_mib=1),
        BuildProfile(optimization_level=5),
        BuildProfile(max_aux_streams=0),
        BuildProfile(hardware_compatibility="ampere_plus"),
        BuildProfile(tiling="fast"),
        BuildProfile(avg_timing_iterations=2),
        BuildProfile(timing_cache=False),
        BuildProfile(tf32=False),
        BuildProfile(external_tactics=False),
    ],
    "target": [
        replace(TARGET, tensorrt="10.3.1"),
        replace(TARGET, device="NVIDIA H100"),
        replace(TARGET, compute_capability=(8, 0)),
    ],
}
CHANGED = [(name, value) for name, values in CHANGES.items() for value in values]


@pytest.fixture
def kept(tmp_path: Path) -> EngineStore:
    """A store that holds one engine."""
    store = EngineStore(tmp_path)
    store.keep(KEY, PLAN)
    return store


def test_the_same_request_finds_its_engine(kept: EngineStore) -> None:
    assert kept.find(replace(KEY)) == PLAN


@pytest.mark.parametrize(
    ("name", "value"), CHANGED, ids=[f"{name}-{number}" for number, (name, _) in enumerate(CHANGED)]
)
def test_another_request_finds_nothing(kept: EngineStore, name: str, value: Any) -> None:
    assert kept.find(replace(KEY, **{name: value})) is None


def test_every_field_of_key_profile_and_target_decides() -> None:
    assert set(CHANGES) == {entry.name for entry in fields(EngineKey)}
    profiles = [profile.to_json() for profile in CHANGES["profile"]]
    default = BuildProfile().to_json()
    assert {name for profile in profiles for name in default if profile[name] != default[name]} == set(default)
    assert len(CHANGES["target"]) == len(fields(BuildTarget))


@pytest.mark.parametrize("suffix", [".engine", ".layers.json", ".key.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_what_is_not_whole_counts_as_not_there(kept: EngineStore, suffix: str, damage: str) -> None:
    (path,) = kept.folder.glob(f"*{suffix}")
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-3] if damage == "truncated" else content.replace(b'"', b"'").replace(b"e", b"E"))
    assert kept.find(KEY) is None
    kept.keep(KEY, PLAN)
    assert kept.find(KEY) == PLAN


def test_an_entry_under_the_name_of_another_is_refused(kept: EngineStore) -> None:
    other = replace(KEY, precision="int8")
    for path in list(kept.folder.iterdir()):
        path.rename(path.with_name(path.name.replace(KEY.digest(), other.digest())))
    assert kept.find(other) is None


def test_the_engines_that_are_not_used_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT", 2)
    store = EngineStore(tmp_path)
    keys = [replace(KEY, lowered_sha256=str(number) * 64) for number in range(3)]
    for age, key in zip((20, 10), keys):
        store.keep(key, PLAN)
        os.utime(tmp_path / f"{key.digest()}.engine", (age, age))
    os.utime(tmp_path / f"{keys[0].digest()}.engine", (5, 5))
    assert store.find(keys[0]) is not None  # which makes it the newest
    store.keep(keys[2], PLAN)
    assert [store.find(key) is not None for key in keys] == [True, False, True]
    assert len(list(tmp_path.iterdir())) == 6


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        EngineStore(tmp_path / "file").keep(KEY, PLAN)


def test_an_engine_is_named_by_what_is_inside() -> None:
    assert TARGET.default_name(Path("a/affnet.onnx"), "fp16") == Path("a/affnet.fp16.trt10.3.0-sm90.engine")
    assert TARGET.default_name(Path("affnet.int8.onnx"), "int8") == Path("affnet.int8.trt10.3.0-sm90.engine")
