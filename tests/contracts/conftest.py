"""Small networks and exported files that several contracts are held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.runners.tensorrt.module import rtx_has_wheels
from tests.contracts import rtx_builds
from tests.made_once import made_once


@pytest.fixture(scope="module", autouse=True)
def small_pictures(one_core: None) -> None:
    """Every test here computes on pictures that are not worth sharing among threads."""


@pytest.fixture(scope="session")
def affnet() -> PreparedNetwork:
    return network_with_random_weights("affnet", class_spec("camvid"), seed=5)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="session")
def rtx_compiler() -> None:
    """Skip where there is no wheel of TensorRT for RTX; where there is one it has to be installed."""
    if not rtx_has_wheels():
        pytest.skip("TensorRT for RTX has wheels for x86-64 Linux and Windows only")
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")


@pytest.fixture(scope="session")
def small_affnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """affnet at a small size; not to be changed."""
    folder = made_once(tmp_path_factory, "small-affnet", lambda folder: rtx_builds.exported("affnet", folder))
    return folder / "affnet.onnx"


@pytest.fixture(scope="session")
def int8_affnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped affnet in INT8; not to be changed."""
    folder = made_once(tmp_path_factory, "int8-affnet", lambda folder: rtx_builds.quantized("affnet-camvid", folder))
    return folder / "affnet-camvid.int8.onnx"
