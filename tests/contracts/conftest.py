"""Small networks and exported files that several contracts are held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights


@pytest.fixture(scope="module", autouse=True)
def small_pictures(one_core: None) -> None:
    """Every test here computes on pictures that are not worth sharing among threads."""


@pytest.fixture(scope="session")
def affnet() -> PreparedNetwork:
    return network_with_random_weights("affnet", class_spec("camvid"), seed=5)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")
