"""Import the module of a TensorRT product: `tensorrt`, or `tensorrt_rtx`, which uses the same names.

Code for both products takes the module as a parameter, and tests it for features that only one of them has.
"""

from __future__ import annotations

import platform
import sys
from types import ModuleType
from typing import cast

from rtseg.errors import EngineError, MissingDependencyError, UnknownNameError

TensorRt = ModuleType
"""Annotation for a parameter that is the module of either product."""

TensorRtRtx = ModuleType
"""Annotation for a parameter that is TensorRT for RTX's module and no other."""

TENSORRT = "tensorrt"
"""TensorRT: engines for one GPU, built on that GPU."""

RTX = "tensorrt-rtx"
"""TensorRT for RTX: engines for RTX GPUs, built on any machine and finished where they are loaded."""

RUNTIMES = (TENSORRT, RTX)
PRODUCTS = {TENSORRT: "TensorRT", RTX: "TensorRT for RTX"}
_PACKAGES = {TENSORRT: ("tensorrt", "gpu"), RTX: ("tensorrt_rtx", "rtx")}


def load_tensorrt(runtime: str, purpose: str) -> TensorRt:
    """Return the module of a runtime, TENSORRT or RTX.

    Raises MissingDependencyError, with the purpose, if it is not installed, EngineError if its libraries cannot be
    loaded, and UnknownNameError for another runtime.
    """
    if runtime == RTX:
        return load_rtx(purpose)
    if runtime != TENSORRT:
        raise UnknownNameError("runtime", runtime, RUNTIMES)
    try:
        import tensorrt as trt
    except (ImportError, OSError) as error:
        raise _cannot_load(TENSORRT, purpose, error) from error
    _require_version(trt, TENSORRT, purpose)
    return cast("TensorRt", trt)


def load_rtx(purpose: str) -> TensorRtRtx:
    """Return the module of TensorRT for RTX. Raises what load_tensorrt raises."""
    try:
        import tensorrt_rtx as trt
    except Exception as error:  # its bindings also raise RuntimeError if they find other libraries than their own
        raise _cannot_load(RTX, purpose, error) from error
    _require_version(trt, RTX, purpose)
    if not hasattr(trt, "ComputeCapability"):
        raise _missing(RTX, purpose)
    return cast("TensorRtRtx", trt)


def rtx_has_wheels() -> bool:
    """Return whether pip can install TensorRT for RTX on this kind of machine."""
    return sys.platform in ("linux", "win32") and platform.machine().lower() in ("x86_64", "amd64")


def _require_version(trt: TensorRt, runtime: str, purpose: str) -> None:
    if not hasattr(trt, "__version__"):  # a folder of that name on the path, which Python imports as a package
        raise _missing(runtime, purpose)


def _cannot_load(runtime: str, purpose: str, error: Exception) -> MissingDependencyError | EngineError:
    package, product = _PACKAGES[runtime][0], PRODUCTS[runtime]
    again = f"run pip install --force-reinstall {package.replace('_', '-')}"
    if isinstance(error, ModuleNotFoundError):
        if error.name is not None and error.name.split(".")[0] == package:
            return _missing(runtime, purpose)
        return EngineError(f"{product} is installed, but lacks a package", got=error.name, hint=again)
    library = "libnvinfer.so" if runtime == TENSORRT else "libtensorrt_rtx.so"
    windows = sys.platform == "win32"
    place = "put the folder of its DLLs on PATH" if windows else f"put the folder of {library} on LD_LIBRARY_PATH"
    return EngineError(
        f"{product} is installed, but its libraries cannot be loaded",
        got=str(error),
        hint=f"{again}, or {place}",
    )


def _missing(runtime: str, purpose: str) -> MissingDependencyError:
    package, extra = _PACKAGES[runtime]
    return MissingDependencyError(package, extra=extra, purpose=purpose)
