"""Small networks and exported files that several contracts are held against."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> None:
    """Keep eager PyTorch to two cores: the pictures here are too small to share among more."""
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def affnet() -> PreparedNetwork:
    return network_with_random_weights("affnet", class_spec("camvid"), seed=5)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")
