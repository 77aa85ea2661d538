"""What pyproject.toml and the constraints files ask for."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
GPU_FILES = ("constraints-gpu-cu12.txt", "constraints-gpu-cu13.txt")
BASE = {"numpy", "pillow", "opencv-python-headless", "click", "rich", "tomli"}
EXTRAS = {
    "cpu": {"onnxruntime", "onnx"},
    "gpu": {"onnxruntime-gpu", "tensorrt", "cuda-python", "onnx"},
    "pycuda": {"pycuda"},
    "rtx": {"tensorrt-rtx", "cuda-bindings", "onnx"},
    "openvino": {"openvino"},
    "export": {"torch", "onnx", "safetensors", "onnxruntime"},
    "train": {"torch", "safetensors"},
    "report": {"matplotlib", "polygraphy", "onnx"},
    "docs": {"mkdocs", "mkdocs-material", "mkdocstrings-python", "ruff"},
}


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def asked(extra: str | None = None) -> list[Requirement]:
    lines = project()["dependencies"] if extra is None else project()["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def everything() -> list[Requirement]:
    return [*asked(), *(requirement for extra in project()["optional-dependencies"] for requirement in asked(extra))]


def pins(name: str) -> dict[str, Version]:
    """Return the versions that a constraints file pins, each line of which has to be one pin."""
    found: dict[str, Version] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match, f"{name}: {line}"
        package = canonicalize_name(match[1])
        assert package not in found, f"{name} pins {package} twice"
        found[package] = Version(match[2])
    return found


def test_the_base_is_what_pictures_and_the_command_line_need() -> None:
    assert names(asked()) == BASE


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_its_task_needs(extra: str) -> None:
    assert names(asked(extra)) == EXTRAS[extra]


def test_every_extra_is_known_here() -> None:
    assert set(project()["optional-dependencies"]) == {*EXTRAS, "test", "dev"}


def test_a_developer_gets_every_task_that_needs_no_gpu() -> None:
    own = next(requirement for requirement in asked("dev") if requirement.name == "rtseg")
    assert own.extras == {"cpu", "docs", "export", "openvino", "report", "rtx", "test", "train"}


def test_a_package_has_one_floor_wherever_it_stands() -> None:
    floors: dict[str, set[str]] = {}
    for requirement in everything():
        floors.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    assert {name: found for name, found in floors.items() if len(found) > 1} == {}
    assert floors["onnxruntime"] == floors["onnxruntime-gpu"]


def test_floors_are_floors_and_nothing_is_capped() -> None:
    operators = {part.operator for requirement in everything() for part in requirement.specifier}
    assert operators == {">="}


@pytest.mark.parametrize(
    ("package", "oldest"), [("torch", "2.10"), ("onnx", "1.21"), ("onnxruntime", "1.24.1"), ("openvino", "2026.2")]
)
def test_no_version_is_taken_that_breaks_what_security_md_promises(package: str, oldest: str) -> None:
    floors = {floor.version for entry in everything() if entry.name == package for floor in entry.specifier}
    assert floors and all(Version(floor) >= Version(oldest) for floor in floors)


@pytest.mark.parametrize("name", ["constraints.txt", *GPU_FILES])
def test_each_constraint_is_a_pin_that_the_floors_allow(name: str) -> None:
    pinned = pins(name)
    for requirement in everything():
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is None or requirement.specifier.contains(version), f"{name}: {requirement} and {version}"


def test_the_developers_constraints_pin_all_that_a_developer_installs() -> None:
    wanted = {"cpu", "docs", "export", "openvino", "report", "rtx", "test", "train", "dev"}
    packages = names(asked()) | {name for extra in wanted for name in names(asked(extra))}
    assert packages - set(pins("constraints.txt")) - {"rtseg", "tomli"} == set()


@pytest.mark.parametrize("name", GPU_FILES)
def test_the_constraints_of_a_gpu_host_pin_all_that_it_installs(name: str) -> None:
    packages = names(asked()) | names(asked("gpu")) | names(asked("pycuda")) | names(asked("train"))
    assert packages - set(pins(name)) - {"tomli"} == set()


@pytest.mark.parametrize(("name", "cuda"), list(zip(GPU_FILES, (12, 13))))
def test_the_constraints_of_a_gpu_host_are_of_one_cuda(name: str, cuda: int) -> None:
    pinned = pins(name)
    assert pinned["cuda-python"].major == pinned["cuda-bindings"].major == cuda
    tensorrt = {package: version for package, version in pinned.items() if package.startswith("tensorrt")}
    assert set(tensorrt) == {"tensorrt", *(f"tensorrt-cu{cuda}{part}" for part in ("", "-bindings", "-libs"))}
    assert len(set(tensorrt.values())) == 1
    assert pinned["tensorrt"].major == 10  # onnxruntime-gpu loads libnvinfer.so.10
    assert "onnxruntime" not in pinned
