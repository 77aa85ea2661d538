"""Cases of a small network, made once as the real ones are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu_check.cases import Case, CaseFolder
from benchmarks.gpu_check.prepare import Request, prepare
from rtseg.datasets.registry import class_spec
from rtseg.networks.checkpoints import save_checkpoint
from rtseg.networks.prepared import network_with_random_weights
from rtseg.specs import Resolution
from tests.made_once import made_once

SIZE = Resolution(64, 96)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An affnet that nobody trained; not to be changed."""
    path = tmp_path_factory.mktemp("checkpoints") / "affnet-small.safetensors"
    save_checkpoint(path, network_with_random_weights("affnet", class_spec("camvid")), SIZE, precision="fp16")
    return path


@pytest.fixture(scope="session")
def folder(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """Its case at one size, for TensorRT before 10 and from 10 on; not to be changed."""

    def make(folder: Path) -> None:
        path = folder / "cases"
        prepare(Request([checkpoint], [SIZE], tables=path), path)

    return CaseFolder(made_once(tmp_path_factory, "gpu-check", make) / "cases")


@pytest.fixture(scope="session")
def case(folder: CaseFolder) -> Case:
    """That case."""
    return folder.cases()[0]
