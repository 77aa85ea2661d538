"""The TensorRT that is installed."""

from __future__ import annotations

import re

from rtseg.errors import EngineError, MissingDependencyError


def tensorrt_release(purpose: str) -> str:
    """Return the version of the installed TensorRT, such as "10.3.0".

    Raises MissingDependencyError where it is not installed, EngineError where its libraries cannot be loaded.
    """
    try:
        import tensorrt as trt
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "tensorrt":
            raise MissingDependencyError("tensorrt", extra="gpu", purpose=purpose) from error
        raise EngineError(
            "TensorRT is installed, but lacks a package", got=error.name, hint="pip install --force-reinstall tensorrt"
        ) from error
    except (ImportError, OSError) as error:
        raise EngineError(
            "TensorRT is installed, but its libraries cannot be loaded",
            got=str(error),
            hint="pip install --force-reinstall tensorrt, or LD_LIBRARY_PATH with the folder of libnvinfer.so",
        ) from error
    if not hasattr(trt, "__version__"):  # a folder of that name on the path, which Python takes for a package
        raise MissingDependencyError("tensorrt", extra="gpu", purpose=purpose)
    return str(trt.__version__)


def tensorrt_version() -> tuple[int, int]:
    """Return the installed TensorRT's major and minor version, such as (10, 3)."""
    release = tensorrt_release("asking for its version")
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers is None:
        raise EngineError("not a version of TensorRT", got=repr(release), expected="numbers such as 10.3.0")
    return int(numbers[1]), int(numbers[2])
