"""Registry of the CUDA drivers by name, and the only place that opens one."""

from __future__ import annotations

from typing import Callable

from rtseg.errors import UnknownNameError
from rtseg.runners.cuda.protocol import CudaDriver


def _cuda_python(device: int) -> CudaDriver:
    from rtseg.runners.cuda.bindings_driver import BindingsDriver

    return BindingsDriver(device)


def _pycuda(device: int) -> CudaDriver:
    from rtseg.runners.cuda.pycuda_driver import PycudaDriver

    return PycudaDriver(device)


OPENERS: dict[str, Callable[[int], CudaDriver]] = {"cuda-python": _cuda_python, "pycuda": _pycuda}
"""Functions that open a device by number, by driver name. open_cuda looks them up at every call, so a program can add
its own driver here, and all of rtseg will use it."""

DRIVERS = tuple(OPENERS)
"""The names of the packages that CUDA can be used through."""

DEFAULT = "cuda-python"
"""The driver that can capture CUDA graphs."""


def open_cuda(name: str = DEFAULT, device: int = 0) -> CudaDriver:
    """Return a driver of the device; its primary context is then current in the calling thread.

    device counts from 0 among the GPUs that CUDA_VISIBLE_DEVICES lets the process see. "pycuda" uses the thread's
    current PyCUDA context if it belongs to that device, and cannot capture graphs.

    Raises UnknownNameError, MissingDependencyError if the package is not installed, and CudaError if there is no NVIDIA
    driver, no such device, or the driver is too old.
    """
    if name not in OPENERS:
        raise UnknownNameError("CUDA implementation", name, DRIVERS)
    return OPENERS[name](device)
