"""One exported file, pictures for it, and a cache folder of its own for every test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtseg.calibration.selection import Selection, select
from rtseg.datasets.pictures import Picture
from rtseg.specs import ImageSpec


class Pictures:
    """Pictures made from a seed each; `read` counts how often one was asked for."""

    def __init__(self, count: int, height: int = 64, width: int = 64) -> None:
        self.count = count
        self.size = (height, width, 3)
        self.read = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Picture:
        self.read += 1
        random = np.random.default_rng(index)
        brightest = int(random.integers(64, 256))
        return Picture(f"picture{index:03d}", random.integers(0, brightest, self.size, np.uint8))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RTSEG_CACHE", str(folder))
    return folder


@pytest.fixture
def pictures() -> Pictures:
    """Twelve pictures of 64x64."""
    return Pictures(12)


@pytest.fixture
def selection(pictures: Pictures) -> Selection:
    """All of the twelve."""
    return select(pictures, "made", "train", ImageSpec(64, 64), count=12)
