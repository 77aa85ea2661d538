"""Find the installed TensorRT release."""

from __future__ import annotations

import re

from rtseg.errors import EngineError
from rtseg.runners.tensorrt.module import TENSORRT, load_tensorrt


def tensorrt_release(purpose: str, runtime: str = TENSORRT) -> str:
    """Return the version of an installed runtime, such as "10.3.0", or "1.7.1.116" for TensorRT for RTX.

    Raises MissingDependencyError if it is not installed, EngineError if its libraries cannot be loaded.
    """
    trt = load_tensorrt(runtime, purpose)
    return str(trt.__version__)


def tensorrt_version() -> tuple[int, int]:
    """Return the installed TensorRT's major and minor version, such as (10, 3)."""
    release = tensorrt_release("asking for its version")
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers is None:
        raise EngineError("not a version of TensorRT", got=repr(release), expected="numbers such as 10.3.0")
    return int(numbers[1]), int(numbers[2])
