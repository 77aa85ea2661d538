"""What pip brings from the package index: the base and its extras, either OpenCV, and versions that fit on a GPU host.

Slow: where an index serves no metadata on its own, pip downloads each wheel that it thinks about: gigabytes of CUDA.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest

from tests.packaging.environments import Distributions, Environment, ran, succeeded
from tests.packaging.test_requirements import GPU_FILES, asked, names, pins

pytestmark = pytest.mark.slow

HEADLESS = "opencv-python-headless"
NO_WHEELS = ("tensorrt", "pycuda")
"""TensorRT's packages fetch their libraries from NVIDIA while they are built, and pycuda wants a CUDA toolkit."""


def distributions_in(environment: Environment) -> set[str]:
    listed = json.loads(environment.pip("list", "--format", "json"))
    return {entry["name"].lower().replace("_", "-") for entry in listed}


def test_the_base_brings_what_it_names_and_what_that_needs(distributions: Distributions, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--quiet", distributions.wheel)
    of_rich = {"markdown-it-py", "mdurl", "pygments"}
    assert distributions_in(environment) - of_rich == (names(asked()) - {"tomli"}) | {"rtseg"}
    assert "Usage: rtseg" in succeeded(environment.rtseg, "--help")


def test_a_file_runs_where_the_cpu_extra_was_installed(
    distributions: Distributions, exported: Path, picture: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--quiet", f"rtseg[cpu] @ {distributions.wheel.as_uri()}")
    assert not distributions_in(environment) & {"torch", "openvino", "matplotlib", "safetensors"}
    succeeded(environment.rtseg, "run", exported, picture, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "picture_labels.png").exists()


def test_a_file_runs_with_opencv_python_in_place_of_the_headless_one(
    distributions: Distributions, exported: Path, picture: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "env")
    others = [f"{entry.name}{entry.specifier}" for entry in asked() if entry.name not in (HEADLESS, "tomli")]
    environment.pip("install", "--quiet", "opencv-python", "onnxruntime", *others)
    environment.pip("install", "--quiet", "--no-deps", distributions.wheel)
    assert HEADLESS not in distributions_in(environment)
    if "libGL" in ran(environment.python, "-c", "import cv2").stderr:
        pytest.skip("opencv-python wants libGL, which is not on this machine")
    succeeded(environment.rtseg, "run", exported, picture, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "picture_labels.png").exists()


def from_index(*arguments: object) -> list[str]:
    """Return a command of pip that looks at the index alone, not at wheels that lie on this machine."""
    return [sys.executable, "-m", "pip", *map(str, arguments)]


@pytest.mark.parametrize("name", GPU_FILES)
def test_the_versions_of_a_gpu_host_fit_each_other(name: str, tmp_path: Path) -> None:
    wheels = {package: version for package, version in pins(name).items() if not package.startswith(NO_WHEELS)}
    report = tmp_path / "report.json"
    command = from_index("install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary", ":all:")
    succeeded(*command, "--report", report, *(f"{package}=={version}" for package, version in wheels.items()))
    resolved = {entry["metadata"]["name"].lower() for entry in json.loads(report.read_text())["install"]}
    assert {"torch", "onnxruntime-gpu", "cuda-python"} <= {entry.replace("_", "-") for entry in resolved}


@pytest.mark.parametrize("name", GPU_FILES)
def test_the_tensorrt_of_a_gpu_host_is_the_one_for_its_cuda(name: str, tmp_path: Path) -> None:
    pinned = pins(name)
    version = pinned["tensorrt"]
    command = from_index("download", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:")
    succeeded(*command, "-d", tmp_path, f"tensorrt=={version}")
    (sdist,) = tmp_path.glob("tensorrt-*.tar.gz")
    with tarfile.open(sdist) as archive:
        texts = [archive.extractfile(member) for member in archive.getmembers() if member.isfile()]
        content = b"\n".join(text.read() for text in texts if text is not None).decode(errors="replace")
    (frontend,) = (package for package in pinned if package in ("tensorrt-cu12", "tensorrt-cu13"))
    assert f"{frontend.replace('-', '_')}=={version}" in content
    for package in (frontend, f"{frontend}-libs", f"{frontend}-bindings"):
        listed = succeeded(*from_index("index", "versions", package))
        assert str(version) in listed, package


@pytest.mark.parametrize("name", GPU_FILES)
def test_the_pycuda_of_a_gpu_host_exists(name: str) -> None:
    assert str(pins(name)["pycuda"]) in succeeded(*from_index("index", "versions", "pycuda"))
