"""Import cuda.bindings of cuda-python, under either of its two names."""

from __future__ import annotations

import importlib
from types import ModuleType

from rtseg.errors import CudaError, MissingDependencyError, first_line

_NAMES = (("cuda.bindings.driver", "cuda.bindings.nvrtc"), ("cuda.cuda", "cuda.nvrtc"))
"""The second is the name in cuda-python 12.0 to 12.5."""


def bindings() -> tuple[ModuleType, ModuleType]:
    """Return the module of the driver's functions and that of NVRTC. Needs neither a GPU nor a driver.

    Raises MissingDependencyError, and CudaError for an installed package that cannot be imported.
    """
    for driver, nvrtc in _NAMES:
        try:
            return importlib.import_module(driver), importlib.import_module(nvrtc)
        except ModuleNotFoundError:
            continue
        except ImportError as error:
            hint = "run pip install --force-reinstall cuda-python"
            raise CudaError("import cuda-python", name=first_line(error), hint=hint) from error
    hint = " for TensorRT, or 'rtseg[rtx]' for TensorRT for RTX"
    raise MissingDependencyError("cuda-python", extra="gpu", purpose="driving CUDA", hint=hint)


def version_pair(number: int) -> tuple[int, int]:
    """Return CUDA's version number, such as 12040, as a pair, (12, 4)."""
    return number // 1000, number % 1000 // 10
