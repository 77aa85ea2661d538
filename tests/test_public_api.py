"""What `import rtseg` offers."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomllib

import rtseg

ROOT = Path(__file__).resolve().parents[1]


def test_the_public_names_are_sorted_and_pinned() -> None:
    assert rtseg.__all__ == ["ClassSpec", "ImageSpec", "OutputSpec", "Resolution", "RtsegError", "Segmenter", "load"]


@pytest.mark.parametrize("name", rtseg.__all__)
def test_a_public_name_can_be_looked_up(name: str) -> None:
    assert getattr(rtseg, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmenter_of'"):
        _ = rtseg.segmenter_of


def test_the_package_is_typed() -> None:
    assert (ROOT / "rtseg" / "py.typed").is_file()


def test_the_wheel_takes_the_library_and_nothing_else_from_the_top_level() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["packages"]["find"]["include"] == ["rtseg*"]
    carried = {
        f"native/*{path.suffix}" for path in (ROOT / "rtseg" / "native").iterdir() if path.suffix in (".cpp", ".h")
    }
    assert carried <= set(settings["package-data"]["rtseg"])
