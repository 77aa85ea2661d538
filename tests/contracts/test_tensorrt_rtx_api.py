"""TensorRT for RTX without a GPU: the API data that the source is held against are those of the real modules."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.tensorrt_api import BASES, DATA, PROPERTY_TYPES, RTX_VERSIONS, Version, rtx_versions
from tests.contracts.tensorrt_double import tensorrt_double

RELEASES = {"rtx-1.4": "1.4.0.76", "rtx-1.5": "1.5.0.114", "rtx-1.6": "1.6.1.120", "rtx-1.7": "1.7.1.116"}
"""The release of each version that its data were taken from."""


def program(name: str) -> Any:
    """Return one of the programs beside the data."""
    spec = importlib.util.spec_from_file_location(f"tensorrt_api_{name}", DATA / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reduced(text: str) -> dict[str, Any]:
    """Return the reduced form of what describe.py writes."""
    made: dict[str, Any] = program("reduce").reduced(json.loads(text), hashlib.sha256(text.encode()).hexdigest())
    return made


def tracked(name: str) -> dict[str, Any]:
    """Return a version's data."""
    data: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return data


# The installed version


@pytest.fixture
def installed() -> types.ModuleType:
    try:
        return importlib.import_module("tensorrt_rtx")
    except ModuleNotFoundError:
        pytest.skip("TensorRT for RTX is not installed, and not every platform has a wheel of it")


@pytest.fixture
def version(installed: types.ModuleType) -> Version:
    """The one that is installed."""
    for known in rtx_versions():
        if RELEASES[known.name] == installed.__version__:
            return known
    pytest.skip(f"the data are not of TensorRT for RTX {installed.__version__}")


def test_the_tracked_api_is_that_of_the_installed_module(installed: types.ModuleType, version: Version) -> None:
    describe = program("describe")
    assert reduced(describe.written(describe.described(installed))) == tracked(version.name)


def test_what_the_data_do_not_tell_of_classes_is_so(installed: types.ModuleType, version: Version) -> None:
    assert all(issubclass(getattr(installed, name), getattr(installed, base)) for name, base in BASES.items())
    for (owner, name), kind in PROPERTY_TYPES.items():
        assert getattr(installed, owner).__dict__[name].fget.__doc__.strip().endswith(f".{kind}")


def test_what_the_module_only_imports_is_not_described(installed: types.ModuleType) -> None:
    full = program("describe").described(installed)
    assert "volume" in full["api"]["module"] and "os" not in full["api"]["module"]


# The other versions


@pytest.mark.slow
@pytest.mark.parametrize("name", RTX_VERSIONS)
def test_the_tracked_api_is_that_of_the_released_module(name: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True, timeout=120)
    python = tmp_path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", f"tensorrt-rtx=={RELEASES[name]}"]
    if subprocess.run(install, capture_output=True, timeout=900, check=False).returncode:
        pytest.skip(f"no tensorrt-rtx {RELEASES[name]} is to be had here: no index, or no wheel for this platform")
    command = [python, "-W", "error", DATA / "describe.py", "tensorrt_rtx"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert reduced(text) == tracked(name)


# Facts that everything else rests on


def having(owner: str | None, name: str) -> list[str]:
    """Return the versions of TensorRT for RTX that have a name."""
    return [version.name for version in rtx_versions() if version.member(owner, name)]


def numbers(version: Version, owner: str) -> dict[str, int]:
    """Return an enumeration."""
    return {name: value for name, value in version.classes[owner].items() if isinstance(value, int)}


def signatures(version: Version, owner: str, name: str) -> list[str]:
    """Return how a method is called."""
    found: list[str] = version.classes[owner][name]
    return found


EVERY, SINCE_1_5, SINCE_1_6, SINCE_1_7 = (list(RTX_VERSIONS[first:]) for first in range(4))


def test_the_versions_are_those_of_the_releases() -> None:
    assert {version.name: ".".join(map(str, version.number)) for version in rtx_versions()} == RELEASES
    assert all(version.rtx and version.module == "tensorrt_rtx" for version in rtx_versions())


@pytest.mark.parametrize(
    ("owner", "name", "versions"),
    [
        ("ComputeCapability", "SM75", EVERY),
        ("ComputeCapability", "SM120", EVERY),
        ("ComputeCapability", "SM121", SINCE_1_5),
        ("IBuilderConfig", "num_compute_capabilities", EVERY),
        ("IBuilderConfig", "build_route", SINCE_1_6),
        ("BuilderFlag", "REQUIRE_USER_ALLOCATION", EVERY),
        ("BuilderFlag", "FP16", RTX_VERSIONS[:1]),
        ("BuilderFlag", "INT8", RTX_VERSIONS[:1]),
        ("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH", RTX_VERSIONS[:1]),
        (None, "EngineValidity", EVERY),
        (None, "EngineInvalidityDiagnostics", EVERY),
        ("IRuntimeConfig", "cuda_graph_strategy", EVERY),
        ("IRuntimeConfig", "create_runtime_cache", EVERY),
        ("IRuntimeCache", "serialize", EVERY),
        ("Runtime", "defer_weights_loading", SINCE_1_6),
        ("ICudaEngine", "load_weights", SINCE_1_6),
        ("ICudaEngine", "unload_weights", SINCE_1_7),
        ("ICudaEngine", "device_memory_size_v2", EVERY),
        ("ICudaEngine", "device_memory_size", []),
        (None, "IWeightsManager", SINCE_1_7),
    ],
)
def test_these_versions_have_the_name(owner: str | None, name: str, versions: tuple[str, ...] | list[str]) -> None:
    assert having(owner, name) == list(versions)


@pytest.mark.parametrize("version", rtx_versions(), ids=str)
def test_the_compute_capabilities_are_these(version: Version) -> None:
    known = {"NONE": 0, "CURRENT": 1, "SM75": 75, "SM80": 80, "SM86": 86, "SM89": 89, "SM120": 120}
    newest = {} if version.name == "rtx-1.4" else {"SM121": 121}
    assert numbers(version, "ComputeCapability") == {**known, **newest}


@pytest.mark.parametrize("version", rtx_versions(), ids=str)
def test_strong_typing_is_the_only_kind_of_network_since_1_5(version: Version) -> None:
    old = version.name == "rtx-1.4"
    known = {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1} if old else {"STRONGLY_TYPED": 0}
    assert numbers(version, "NetworkDefinitionCreationFlag") == known


@pytest.mark.parametrize("version", rtx_versions(), ids=str)
def test_an_engine_is_valid_suboptimal_or_invalid(version: Version) -> None:
    assert numbers(version, "EngineValidity") == {"VALID": 0, "SUBOPTIMAL": 1, "INVALID": 2}
    assert numbers(version, "EngineInvalidityDiagnostics") == {
        "VERSION_MISMATCH": 1,
        "UNSUPPORTED_CC": 2,
        "OLD_CUDA_DRIVER": 4,
        "OLD_CUDA_RUNTIME": 8,
        "INSUFFICIENT_GPU_MEMORY": 16,
        "MALFORMED_ENGINE": 32,
        "CUDA_ERROR": 64,
    }
    assert signatures(version, "Runtime", "get_engine_validity") == ["(buffer) -> plain"]


@pytest.mark.parametrize("version", rtx_versions(), ids=str)
def test_a_context_is_made_from_a_runtime_config_with_a_cache(version: Version) -> None:
    assert signatures(version, "ICudaEngine", "create_runtime_config") == ["() -> IRuntimeConfig"]
    assert signatures(version, "IRuntimeConfig", "create_runtime_cache") == ["() -> IRuntimeCache"]
    assert signatures(version, "IRuntimeConfig", "set_runtime_cache") == ["(cache: IRuntimeCache=) -> plain"]
    assert signatures(version, "IRuntimeCache", "deserialize") == ["(blob) -> plain"]
    assert signatures(version, "IRuntimeCache", "serialize") == ["() -> IHostMemory"]
    assert "(runtime_config: IRuntimeConfig=) -> IExecutionContext" in signatures(
        version, "ICudaEngine", "create_execution_context"
    )
    assert numbers(version, "CudaGraphStrategy") == {"DISABLED": 0, "WHOLE_GRAPH_CAPTURE": 1}


@pytest.mark.parametrize("version", rtx_versions(), ids=str)
def test_a_context_can_be_given_its_memory_and_asked_about_a_capture(version: Version) -> None:
    strategies = {"STATIC": 0, "ON_PROFILE_CHANGE": 1, "USER_MANAGED": 2}
    assert numbers(version, "ExecutionContextAllocationStrategy") == strategies
    assert signatures(version, "IExecutionContext", "set_device_memory") == ["(memory, size) -> plain"]
    assert signatures(version, "IExecutionContext", "is_stream_capturable") == ["(stream) -> plain"]


@pytest.mark.parametrize("version", rtx_versions(), ids=str)
def test_a_double_of_the_module_has_its_names(version: Version) -> None:
    module, recorded = tensorrt_double(version)
    assert module.__name__ == "tensorrt_rtx" and module.__version__ == RELEASES[version.name]
    config = module.IBuilderConfig()
    config.num_compute_capabilities = 1
    config.set_compute_capability(module.ComputeCapability.SM86, 0)
    ((capability, index),) = recorded.arguments("IBuilderConfig.set_compute_capability")
    assert (int(capability), index) == (86, 0)
    with pytest.raises(AttributeError, match=f"num_layers cannot be set in {version}"):
        config.num_layers = 1
