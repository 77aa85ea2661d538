"""Benchmarks' caches: an empty one for a test, and one that a benchmark filled before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import rtseg
from tests.made_once import made_once

FILLED_BY: dict[str, Any] = {
    "networks": "fast_scnn",
    "classes": "camvid",
    "resolution": "64x96",
    "runners": "onnxruntime",
    "seconds": 0.01,
}


@pytest.fixture(autouse=True)
def few_pictures(few_rendered_pictures: None) -> None:
    """Nothing here depends on what ranges are."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, which is not there yet."""
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the two exports of a light network at 64x96 with CamVid's classes; not to be changed."""

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RTSEG_CACHE", str(folder))
            rtseg.bench(**FILLED_BY)

    return made_once(tmp_path_factory, "made-before", fill)


@pytest.fixture
def exports_made(cache: Path, made_before: Path) -> Path:
    """The user's cache, in which those exports are: for tests of what comes after them."""
    shutil.copytree(made_before / "exports", cache / "exports")
    return cache
