"""The sdist and the wheel, built once."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest

from tests.made_once import made_once
from tests.packaging.environments import Distributions, Environment, copy_of_the_checkout, succeeded

BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


def unpacked(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist, and return the one folder in it."""
    with tarfile.open(sdist) as archive:
        # what is unpacked was packed by us; the argument is missing in the first releases of Python 3.9 to 3.11
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (only,) = folder.iterdir()
    return only


def build(folder: Path) -> None:
    """Copy the checkout into checkout/, and build into dist/."""
    checkout, dist = copy_of_the_checkout(folder / "checkout"), folder / "dist"
    succeeded(sys.executable, "-c", BUILD, "build_sdist", dist, cwd=checkout)
    (sdist,) = dist.glob("*.tar.gz")
    succeeded(sys.executable, "-c", BUILD, "build_wheel", dist, cwd=unpacked(sdist, folder / "sdist"))


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """An sdist of a copy of the checkout, and a wheel of the sdist, by this environment's setuptools."""
    folder = made_once(tmp_path_factory, "distributions", build)
    (sdist,), (wheel,) = (list((folder / "dist").glob(form)) for form in ("*.tar.gz", "*.whl"))
    return Distributions(folder / "checkout", sdist, wheel)


@pytest.fixture(scope="session")
def bare(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with NumPy, and nothing else."""
    environment = Environment(tmp_path_factory.mktemp("bare") / "env")
    environment.install_wheel(distributions.wheel)
    environment.lend(["numpy"])
    return environment


@pytest.fixture(scope="session")
def base(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with what `pip install rtseg` brings, and ONNX Runtime."""
    environment = Environment(tmp_path_factory.mktemp("base") / "env")
    environment.install_wheel(distributions.wheel)
    environment.lend(["numpy", "pillow", "opencv-python-headless", "click", "rich", "onnxruntime"])
    return environment
