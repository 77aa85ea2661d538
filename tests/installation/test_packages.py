"""What is found of TensorRT, TensorRT for RTX, CUDA and PyCUDA, in an installation made up for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import rtseg
from rtseg.errors import CudaError
from rtseg.installation.packages import package_findings
from rtseg.runners.cuda.protocol import DeviceInfo
from tests.emulated_gpu.injection import put_device, put_no_cuda

NO_DRIVER = CudaError("be used here", name="no NVIDIA driver", hint="install the NVIDIA driver")


def finding(name: str) -> dict[str, Any]:
    """Return what is found of the part of that name."""
    (found,) = (each for each in package_findings() if each.name == name)
    return asdict(found)


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TensorRT 10.3 from the wheels for CUDA 13."""
    module = ModuleType("tensorrt")
    module.__version__ = "10.3.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    distribution = tmp_path / "tensorrt_cu13_libs-10.3.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: tensorrt-cu13-libs\nVersion: 10.3.0\n")
    monkeypatch.syspath_prepend(tmp_path)


def put_driver_of(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int]) -> None:
    """Let there be a GPU whose driver knows that version of CUDA."""
    put_device(monkeypatch, DeviceInfo(0, "NVIDIA H200", (9, 0), 140 << 30, 132, version))


@pytest.mark.parametrize(("driver", "works"), [((12, 4), False), ((13, 0), True), ((14, 1), True)])
def test_a_tensorrt_for_a_newer_cuda_than_the_drivers_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tensorrt: None, driver: tuple[int, int], works: bool
) -> None:
    put_driver_of(monkeypatch, driver)
    found = finding("tensorrt")
    assert found["works"] is works
    if not works:
        assert found["seen"] == "10.3.0 is built for CUDA 13, and the driver supports CUDA 12"
        assert "tensorrt-cu12" in found["mend"]


def test_without_a_driver_its_version_is_told(monkeypatch: pytest.MonkeyPatch, tensorrt: None) -> None:
    put_no_cuda(monkeypatch, NO_DRIVER)
    assert finding("tensorrt") == {"name": "tensorrt", "works": True, "seen": "10.3.0", "mend": ""}


def test_a_folder_that_is_called_tensorrt_is_no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    assert finding("tensorrt")["seen"] == "not installed: no engines for this GPU"


def test_the_gpu_is_told_with_its_memory_and_its_drivers_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    put_driver_of(monkeypatch, (13, 0))
    found = finding("cuda")
    assert found["works"] is True
    assert found["seen"].endswith("NVIDIA H200, sm_90, 140 GiB, driver for CUDA 13.0")


def test_without_a_driver_cuda_does_not_work_and_what_mends_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    put_no_cuda(monkeypatch, NO_DRIVER)
    mend = "install the NVIDIA driver"
    assert finding("cuda") == {"name": "cuda", "works": False, "seen": "no NVIDIA driver", "mend": mend}


def put_rtx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let TensorRT for RTX 1.7.1 be installed."""
    module = ModuleType("tensorrt_rtx")
    module.__version__ = "1.7.1.116"  # type: ignore[attr-defined]
    names = ("NONE", "CURRENT", "SM75", "SM86", "SM120")
    module.ComputeCapability = SimpleNamespace(__members__=dict.fromkeys(names))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", module)


def test_tensorrt_for_rtx_tells_what_it_builds_for_and_that_it_runs_nothing_without_a_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_rtx(monkeypatch)
    put_no_cuda(monkeypatch, NO_DRIVER)
    seen = "1.7.1.116: builds for 7.5, 8.6, 12.0, runs none without a driver"
    assert finding("tensorrt-rtx") == {"name": "tensorrt-rtx", "works": True, "seen": seen, "mend": ""}


def test_tensorrt_for_rtx_beside_a_driver_tells_what_it_builds_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    put_rtx(monkeypatch)
    put_driver_of(monkeypatch, (13, 0))
    assert finding("tensorrt-rtx")["seen"] == "1.7.1.116: builds for 7.5, 8.6, 12.0"


@pytest.mark.parametrize(("machine", "mend"), [("x86_64", "run pip install 'rtseg[rtx]'"), ("aarch64", "")])
def test_where_tensorrt_for_rtx_has_no_wheels_nothing_is_said_to_install(
    monkeypatch: pytest.MonkeyPatch, machine: str, mend: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.setattr("platform.machine", lambda: machine)
    found = finding("tensorrt-rtx")
    assert (found["works"], found["mend"]) == (False, mend)


def test_pycuda_is_told_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pycuda")
    module.VERSION_TEXT = "2025.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", module)
    assert finding("pycuda") == {"name": "pycuda", "works": True, "seen": "2025.1", "mend": ""}


@pytest.mark.parametrize("module", [None, ModuleType("pycuda")], ids=["nothing", "a folder of that name"])
def test_without_pycuda_its_extra_is_told(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", module)
    found = finding("pycuda")
    assert (found["works"], found["mend"]) == (False, "run pip install 'rtseg[pycuda]'")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a clone, in which nothing was built."""
    root = tmp_path_factory.mktemp("clone")
    package = Path(rtseg.__file__).parent
    shutil.copytree(package, root / "rtseg", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    return root


def native_core_in(clone: Path, *installed: Path) -> dict[str, Any]:
    """Return what a new process, started in the clone, finds of the native core; installed are folders of packages."""
    code = "import json; from rtseg.installation import packages; print(json.dumps(vars(packages._native_core())))"
    paths = os.pathsep.join(map(str, installed))
    environment = {**os.environ, "PYTHONPATH": paths, "RTSEG_CORE": ""}
    ran = subprocess.run([sys.executable, "-c", code], cwd=clone, env=environment, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def distribution_in(folder: Path, origin: dict[str, Any] | None = None) -> None:
    """Let the folder have an installed rtseg, with pip install -e where origin says so."""
    about = folder / "rtseg-99.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rtseg\nVersion: 99\n")
    if origin is not None:
        (about / "direct_url.json").write_text(json.dumps(origin))


@pytest.mark.parametrize("editable", [False, True])
def test_in_a_clone_the_installed_copy_that_is_hidden_is_named_as_the_cause(
    clone: Path, tmp_path: Path, editable: bool
) -> None:
    package = tmp_path / ("source of it" if editable else "site") / "rtseg"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    origin = {"dir_info": {"editable": True}, "url": package.parent.as_uri()} if editable else None
    distribution_in(tmp_path / "site", origin)
    found = native_core_in(clone, tmp_path / "site")
    assert found["works"] is False
    assert f"the source in {clone} is used instead of the installed copy in {package.parent}" in found["seen"]
    assert found["mend"].startswith("start in another folder") and "pip install -e ." in found["mend"]


def test_where_the_imported_copy_is_the_installed_one_a_compiler_is_what_lacks(clone: Path, tmp_path: Path) -> None:
    distribution_in(tmp_path / "site", {"dir_info": {"editable": True}, "url": clone.as_uri()})
    code = "import json; from importlib import metadata; from rtseg.installation import packages\n"
    code += "first = next(iter(metadata.distributions(name='rtseg')))\n"
    code += "metadata.distributions = lambda **_: [first]\n"  # this test's own environment has another one
    code += "print(json.dumps(vars(packages._native_core())))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "RTSEG_CORE": ""}
    ran = subprocess.run([sys.executable, "-c", code], cwd=clone, env=environment, capture_output=True, check=True)
    assert "C++17 compiler" in json.loads(ran.stdout)["mend"]
