"""Build profiles: what a TOML file may say, and the profiles that are shipped."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from rtseg.engines.profile import BuildProfile, read_profile
from rtseg.errors import SpecError

WORKBENCH = Path(__file__).resolve().parents[2] / "engines"
SHIPPED = sorted(WORKBENCH.glob("*.toml"))


def test_a_profile_of_nothing_is_tensorrts_own(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert read_profile(path) == BuildProfile()


def test_every_field_is_read(tmp_path: Path) -> None:
    wanted = BuildProfile(512, 5, 2, "ampere_plus", "full", 8, False, False, False)
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
    assert read_profile(path) == wanted
    assert all(getattr(wanted, entry.name) != entry.default for entry in fields(BuildProfile))


def test_changes_that_are_none_leave_a_profile_as_it_is() -> None:
    profile = BuildProfile(workspace_mib=512)
    assert profile.replaced({"workspace_mib": None}) == profile
    assert profile.replaced({"workspace_mib": 64}) == replace(profile, workspace_mib=64)


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
        BuildProfile(**{field: value})
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fp16 = true", "has unknown fields; got fp16; expected avg_timing_iterations, "),
        ("workspace_mib = ", "is not TOML"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=told):
        read_profile(path)
    with pytest.raises(SpecError, match=r"cannot read the profile .*none.toml: No such file"):
        read_profile(tmp_path / "none.toml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_profile_is_read_and_shows_its_command(path: Path) -> None:
    assert read_profile(path) != BuildProfile()
    assert f"--profile engines/{path.name}" in path.read_text()


def test_there_are_shipped_profiles() -> None:
    assert {"default", "fastest", "quick"} <= {path.stem for path in SHIPPED}
