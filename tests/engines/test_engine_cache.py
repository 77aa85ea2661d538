"""The cache of engines: the same request finds its engine, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from rtseg.artifacts.cache import Cache
from rtseg.engines import rtx_builder
from rtseg.engines.engine_cache import EngineCache, EngineKey
from rtseg.engines.plan import Plan
from rtseg.engines.platform import RtxPlatform, TensorRtPlatform
from rtseg.engines.settings import BuildSettings
from rtseg.errors import WriteError

TARGET = TensorRtPlatform("10.3.0", "NVIDIA H200", (9, 0))
KEY = EngineKey("0" * 64, "fp16", True, (), BuildSettings(), TARGET)
RTX_KEY = replace(KEY, platform=RtxPlatform("1.7.1.116", ((8, 9), (12, 0))))
PLAN = Plan(b"ftrt engine\n\n\xff", '{"Layers": ["é\n"]}', ("left out: tiling",), 12.5)

CHANGES: dict[str, list[Any]] = {
    "lowered_sha256": ["1" * 64],
    "precision": ["int8"],
    "typed": [False],
    "builder_flags": [("FP16",)],
    "settings": [
        BuildSettings(workspace_mib=1),
        BuildSettings(optimization_level=5),
        BuildSettings(max_aux_streams=0),
        BuildSettings(hardware_compatibility="ampere_plus"),
        BuildSettings(tiling="fast"),
        BuildSettings(avg_timing_iterations=2),
        BuildSettings(timing_cache=False),
        BuildSettings(tf32=False),
        BuildSettings(external_tactics=False),
    ],
    "platform": [
        replace(TARGET, tensorrt="10.3.1"),
        replace(TARGET, device="NVIDIA H100"),
        replace(TARGET, compute_capability=(8, 0)),
    ],
}
CHANGED = [(name, value) for name, values in CHANGES.items() for value in values]


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """A cache that holds one engine of each product."""
    cache = EngineCache(tmp_path)
    for key in (KEY, RTX_KEY):
        cache.keep(key, PLAN)
    return cache


def test_the_same_request_finds_its_engine(cache: EngineCache) -> None:
    assert cache.find(replace(KEY)) == PLAN
    assert cache.find(replace(RTX_KEY)) == PLAN


@pytest.mark.parametrize(
    ("name", "value"), CHANGED, ids=[f"{name}-{number}" for number, (name, _) in enumerate(CHANGED)]
)
def test_another_request_finds_nothing(cache: EngineCache, name: str, value: Any) -> None:
    assert cache.find(replace(KEY, **{name: value})) is None


def test_every_field_of_key_settings_and_platform_decides() -> None:
    assert set(CHANGES) == {entry.name for entry in fields(EngineKey)}
    variants = [settings.to_json() for settings in CHANGES["settings"]]
    default = BuildSettings().to_json()
    assert {name for settings in variants for name in default if settings[name] != default[name]} == set(default)
    assert len(CHANGES["platform"]) == len(fields(TensorRtPlatform))


@pytest.mark.parametrize("settings", CHANGES["settings"])
def test_settings_that_tensorrt_for_rtx_ignores_find_the_same_engine(
    cache: EngineCache, settings: BuildSettings
) -> None:
    default = BuildSettings().to_json()
    (changed,) = (name for name, value in settings.to_json().items() if value != default[name])
    found = cache.find(replace(RTX_KEY, settings=settings))
    assert found == (PLAN if changed in RTX_KEY.platform.ignored_settings else None)


@pytest.mark.parametrize(
    "platform",
    [
        RtxPlatform("1.7.1.117", ((8, 9), (12, 0))),
        RtxPlatform("1.7.1.116", ((8, 9),)),
        RtxPlatform("1.7.1.116", ((8, 9), (12, 0)), portable=True),
    ],
)
def test_another_release_or_other_gpus_of_tensorrt_for_rtx_find_nothing(
    cache: EngineCache, platform: RtxPlatform
) -> None:
    assert cache.find(replace(RTX_KEY, platform=platform)) is None


def test_the_builder_of_tensorrt_for_rtx_reads_every_setting_that_is_in_the_key_and_no_other() -> None:
    class Spied(BuildSettings):
        def __getattribute__(self, name: str) -> Any:
            if name in names:
                read.add(name)
            return super().__getattribute__(name)

    names, read = {entry.name for entry in fields(BuildSettings)}, set[str]()
    settings = Spied(workspace_mib=64, max_aux_streams=1, tf32=False)
    read.clear()
    rtx_builder._apply(MagicMock(), MagicMock(), settings)
    ignored = set(RTX_KEY.platform.ignored_settings)
    assert read == names - ignored - {"hardware_compatibility"}  # which left_out refuses
    assert set(rtx_builder.NO_EFFECT) <= ignored


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_what_is_not_whole_counts_as_not_there(cache: EngineCache, damage: str) -> None:
    path = cache.path(KEY)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-3] if damage == "truncated" else content.replace(b"ftrt", b"Ftrt"))
    assert cache.find(KEY) is None
    cache.keep(KEY, PLAN)
    assert cache.find(KEY) == PLAN


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"ftrt an engine alone",
        b"null\nengine",
        b"[]\nengine",
        b"\xff\nengine",
        json.dumps({"key": KEY.to_json()}).encode() + b"\nengine",
        json.dumps({"key": KEY.to_json(), "layers": "{}", "notes": None, "seconds": 1}).encode() + b"\nengine",
    ],
)
def test_what_is_whole_and_of_something_else_counts_as_not_there(cache: EngineCache, content: bytes) -> None:
    Cache("", "", keep=9).write(cache.path(KEY), content)
    assert cache.find(KEY) is None


def test_an_engine_under_the_name_of_another_is_refused(cache: EngineCache) -> None:
    other = replace(KEY, precision="int8")
    cache.path(KEY).rename(cache.path(other))
    assert cache.find(other) is None


def test_the_engines_that_are_not_used_go_first(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, keep=2)
    keys = [replace(KEY, lowered_sha256=str(number) * 64) for number in range(3)]
    for key in keys[:2]:
        cache.keep(key, PLAN)
    assert cache.find(keys[0]) is not None  # which makes it the newest
    cache.keep(keys[2], PLAN)
    assert [cache.find(key) is not None for key in keys] == [True, False, True]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        EngineCache(tmp_path / "file").keep(KEY, PLAN)


def test_an_engine_is_named_by_what_is_inside(cache: EngineCache) -> None:
    assert TARGET.default_name(Path("a/affnet.onnx"), "fp16") == Path("a/affnet.fp16.trt10.3.0-sm90.engine")
    assert TARGET.default_name(Path("affnet.int8.onnx"), "int8") == Path("affnet.int8.trt10.3.0-sm90.engine")
    assert cache.path(KEY).name.startswith("trt10.3.0-sm90-fp16-")
    assert cache.path(RTX_KEY).name.startswith("rtx1.7.1.116-sm89-sm120-fp16-")
