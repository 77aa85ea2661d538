"""Small networks and exported files that several contracts are held against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    """Threads that each start PyTorch's own threads on pictures this small mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def affnet() -> PreparedNetwork:
    return network_with_random_weights("affnet", class_spec("camvid"), seed=5)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")
