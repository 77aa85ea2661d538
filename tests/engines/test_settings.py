"""Build settings: what a TOML file may say, and the settings that are shipped."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from rtseg.engines.settings import BuildSettings, read_settings
from rtseg.errors import SpecError

WORKBENCH = Path(__file__).resolve().parents[2] / "engines"
SHIPPED = sorted(WORKBENCH.glob("*.toml"))


def test_settings_of_nothing_are_tensorrts_own(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert read_settings(path) == BuildSettings()


def test_every_field_is_read(tmp_path: Path) -> None:
    wanted = BuildSettings(512, 5, 2, "ampere_plus", "full", 8, False, False, False)
    path = tmp_path / "all.toml"
    text = {True: "true", False: "false"}
    values = {
        name: text.get(value, value) if isinstance(value, bool) else value for name, value in wanted.to_json().items()
    }
    lines = [
        f'{name} = "{value}"' if name in ("tiling", "hardware_compatibility") else f"{name} = {value}"
        for name, value in values.items()
    ]
    path.write_text("\n".join(lines))
    assert read_settings(path) == wanted
    assert all(getattr(wanted, entry.name) != entry.default for entry in fields(BuildSettings))


def test_changes_that_are_none_leave_settings_as_they_are() -> None:
    settings = BuildSettings(workspace_mib=512)
    assert settings.replaced({"workspace_mib": None}) == settings
    assert settings.replaced({"workspace_mib": 64}) == replace(settings, workspace_mib=64)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("workspace_mib", -1, "workspace_mib is out of range; got -1; expected 0 to"),
        ("optimization_level", 6, "optimization_level is out of range; got 6; expected 0 to 5"),
        ("max_aux_streams", -2, "max_aux_streams is out of range"),
        ("avg_timing_iterations", 0, "avg_timing_iterations is out of range"),
        ("optimization_level", True, "optimization_level has the wrong type; got True; expected int"),
        ("workspace_mib", 1.5, "workspace_mib has the wrong type; got 1.5"),
        ("timing_cache", 1, "timing_cache has the wrong type; got 1; expected bool"),
        ("tiling", "fastest", "unknown tiling; got 'fastest'; expected one of none, fast, moderate, full"),
        ("hardware_compatibility", "all", "unknown hardware_compatibility; got 'all'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(field: str, value: Any, told: str) -> None:
    with pytest.raises(SpecError) as refused:
        BuildSettings(**{field: value})
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fp16 = true", "has unknown fields; got fp16; expected avg_timing_iterations, "),
        ("workspace_mib = ", "is not TOML"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=told):
        read_settings(path)
    with pytest.raises(SpecError, match=r"cannot read the build settings .*none.toml: No such file"):
        read_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_settings_are_read_and_shows_its_command(path: Path) -> None:
    assert read_settings(path) != BuildSettings()
    assert f"--settings engines/{path.name}" in path.read_text()


def test_there_are_shipped_settings() -> None:
    assert {"default", "fastest", "quick"} <= {path.stem for path in SHIPPED}
