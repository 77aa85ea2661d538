"""What reads TOML, and what is said where nothing does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import rtseg
from rtseg.artifacts.toml_package import toml_package
from rtseg.engines.cards import cards
from rtseg.errors import SpecError

LAYERS = Path(__file__).resolve().parents[1] / "data" / "inspector" / "fp16-8.5.json"


@pytest.fixture
def no_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.10 without tomli."""
    monkeypatch.setattr(sys, "version_info", (3, 10))
    monkeypatch.setitem(sys.modules, "tomli", None)
    cards.cache_clear()


def test_it_reads_toml() -> None:
    assert toml_package("tests").loads("a = 1") == {"a": 1}


@pytest.mark.usefixtures("no_toml")
def test_where_nothing_reads_toml_the_package_is_named() -> None:
    with pytest.raises(
        SpecError, match=r"before Python 3\.11 tests need the package tomli\. Try: run pip install tomli"
    ):
        toml_package("tests")


@pytest.mark.usefixtures("no_toml")
def test_an_audit_does_without_the_figures_of_cards_unless_one_is_named() -> None:
    assert rtseg.audit(LAYERS).bounds == ()
    with pytest.raises(SpecError, match="need the package tomli"):
        rtseg.audit(LAYERS, cards="RTX 3090")
