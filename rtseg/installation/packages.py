"""What each package reports about itself; asked of the packages, not derived from their names."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Callable
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rtseg.errors import CudaError, EngineError, MissingDependencyError, RtsegError
from rtseg.installation.finding import Finding, failure
from rtseg.runners.onnxruntime_package import onnxruntime_package

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_PACKAGE = Path(__file__).resolve().parents[1]


def package_findings() -> list[Finding]:
    """Return a finding for each part that rtseg uses."""
    checks: tuple[Callable[[], Finding], ...] = (
        *(_native_core, _opencv, _onnxruntime, _openvino, _torch),
        *(_tensorrt, _rtx, _cuda, _pycuda),
    )
    return [check() for check in checks]


def _native_core() -> Finding:
    from rtseg.frame.native_library import CHOICE, core, numpy_is_asked_for, why_none

    if core() is None:
        slower = "NumPy does its work, several times slower"
        if numpy_is_asked_for():
            return Finding("native core", False, f"{slower}: {why_none()}", f"start it without {CHOICE}=numpy")
        if (installed := _installed_elsewhere()) is not None:
            seen = f"the source in {_PACKAGE.parent} is used instead of the installed copy in {installed.parent}"
            mend = "start in another folder without PYTHONPATH, or run pip install -e . in this source folder"
            return Finding("native core", False, f"{slower}: {seen}", mend)
        mend = "install a C++17 compiler, then run pip install --force-reinstall --no-deps rtseg"
        return Finding("native core", False, f"{slower}: {why_none()}", mend)
    return Finding("native core", True, "compiled preprocessing and postprocessing are in use")


def _installed_elsewhere() -> Path | None:
    """Return the folder of an installed rtseg other than the imported one, as happens in the root of a clone."""
    from importlib import metadata

    for distribution in metadata.distributions(name="rtseg"):
        folder = _folder_of(distribution)
        if (folder / "__init__.py").is_file() and folder.resolve() != _PACKAGE:
            return folder
    return None


def _folder_of(distribution: Distribution) -> Path:
    """Return the folder of the package of an rtseg distribution: with pip install -e that is its source."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(url2pathname(urlsplit(origin["url"]).path), "rtseg")
    return Path(str(distribution.locate_file("rtseg")))


def _opencv() -> Finding:
    """Say which wheel cv2 comes from: any one works, but two would be installed over each other."""
    from importlib import metadata

    wheels = [name for name in ("opencv-python", "opencv-python-headless") if _has_distribution(name)]
    if len(wheels) > 1:
        mend = f"run pip uninstall {' '.join(wheels)}, then pip install one of them"
        return Finding("opencv", False, "two packages are installed over each other", mend)
    try:
        version = import_module("cv2").__version__
    except ImportError as error:  # also opencv-python without the system's libGL
        return Finding("opencv", False, f"cv2 cannot be imported: {error}", "run pip install opencv-python-headless")
    return Finding("opencv", True, f"{wheels[0]} {metadata.version(wheels[0])}" if wheels else f"cv2 {version}")


def _onnxruntime() -> Finding:
    from importlib import metadata

    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _has_distribution(name)]
    if len(installed) == 2:
        mend = "run pip uninstall onnxruntime onnxruntime-gpu, then pip install one of them"
        return Finding("onnxruntime", False, "two packages are installed over each other", mend)
    if not installed:
        return Finding("onnxruntime", False, "not installed", "run pip install 'rtseg[cpu]' or 'rtseg[gpu]'")
    try:
        onnxruntime = onnxruntime_package()
    except RtsegError as error:  # a library that it needs is missing
        return failure("onnxruntime", error)
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return Finding("onnxruntime", True, f"{installed[0]} {metadata.version(installed[0])}; compiled with: {providers}")


def _openvino() -> Finding:
    from importlib import metadata

    from rtseg.runners.openvino import cpu_capabilities

    try:
        precisions = [name for name in cpu_capabilities() if name in ("FP32", "FP16", "BF16", "INT8")]
    except MissingDependencyError:
        return Finding("openvino", False, "not installed: no --runner openvino", "run pip install 'rtseg[openvino]'")
    version = metadata.version("openvino")
    return Finding("openvino", True, f"{version}; this processor computes in: {', '.join(precisions)}")


def _has_distribution(name: str) -> bool:
    from importlib import metadata

    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError):  # OSError: one of its libraries is damaged
        mend = "run pip install 'rtseg[export]', or 'rtseg[train]'"
        return Finding("torch", False, "not installed: no training and no export", mend)
    if torch.cuda.is_available():
        return Finding("torch", True, f"{torch.__version__} on {torch.cuda.get_device_name()}")
    return Finding("torch", True, f"{torch.__version__}, CPU only")


def _cuda() -> Finding:
    from rtseg.runners.cuda.registry import open_cuda

    try:
        cuda = open_cuda()
    except MissingDependencyError:
        return Finding("cuda", False, "cuda-python is not installed: no engines", "run pip install 'rtseg[gpu]'")
    except CudaError as error:
        return failure("cuda", error)
    device = cuda.device
    seen = f"{device.name}, {device.architecture}, {device.memory / 2**30:.0f} GiB, driver for CUDA {device.driver[0]}"
    return Finding("cuda", True, f"{cuda.name} {cuda.version}; {seen}.{device.driver[1]}")


def _pycuda() -> Finding:
    """Say which PyCUDA is installed. Opening the driver is a step of the chain, as it changes the thread's context."""
    try:
        version = getattr(import_module("pycuda"), "VERSION_TEXT", None)
    except ImportError:
        version = None
    if version is None:  # not installed, or a folder of that name
        return Finding("pycuda", False, "not installed: engines run without it", "run pip install 'rtseg[pycuda]'")
    return Finding("pycuda", True, str(version))


def _tensorrt() -> Finding:
    from rtseg.runners.tensorrt.release import tensorrt_release

    try:
        release = tensorrt_release("building an engine")
    except MissingDependencyError:
        return Finding(
            "tensorrt", False, "not installed: no engines for this GPU", "run pip install 'rtseg[gpu]' on a GPU machine"
        )
    except EngineError as error:
        return failure("tensorrt", error)
    built_for, driver = _cuda_of_tensorrt(), _cuda_of_driver()
    if built_for is not None and driver is not None and driver < built_for:
        seen = f"{release} is built for CUDA {built_for}, and the driver supports CUDA {driver}"
        return Finding("tensorrt", False, seen, f"run pip install tensorrt-cu{driver}, or install a newer driver")
    return Finding("tensorrt", True, release)


def _rtx() -> Finding:
    from rtseg.engines.platform import capability_text
    from rtseg.engines.rtx_capabilities import known_capabilities
    from rtseg.runners.tensorrt.module import RTX, load_rtx, rtx_has_wheels

    try:
        trt = load_rtx("building an engine")
    except MissingDependencyError:
        if not rtx_has_wheels():
            return Finding(RTX, False, "not for this platform: x86-64 Linux and Windows only")
        return Finding(RTX, False, "not installed: no engines for RTX cards", "run pip install 'rtseg[rtx]'")
    except EngineError as error:
        return failure(RTX, error)
    capabilities = ", ".join(map(capability_text, known_capabilities(trt)))
    runs = "" if _cuda_of_driver() is not None else ", runs none without a driver"
    return Finding(RTX, True, f"{trt.__version__}: builds for {capabilities}{runs}")


def _cuda_of_tensorrt() -> int | None:
    """Return the major version of CUDA that the installed TensorRT is built for, None if its name does not show it."""
    for major in (13, 12, 11):
        if any(_has_distribution(f"tensorrt-cu{major}{part}") for part in ("", "-libs", "-bindings")):
            return major
    return None


def _cuda_of_driver() -> int | None:
    """Return the major version of CUDA that the NVIDIA driver supports, None without a driver."""
    from rtseg.runners.cuda.registry import open_cuda

    try:
        return open_cuda().device.driver[0]
    except (MissingDependencyError, CudaError):
        return None
