"""The implementations by name, and the only place that opens one."""

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
"""What opens the device of that number, by name. Looked up at every call of open_cuda, so that whoever has a driver of
another kind puts it in here, and all of rtseg drives that one."""

DRIVERS = tuple(OPENERS)
"""What a CUDA driver can be reached through."""

DEFAULT = "cuda-python"
"""The one that can capture CUDA graphs."""


def open_cuda(name: str = DEFAULT, device: int = 0) -> CudaDriver:
    """Return a driver of the device, whose primary context is then current in the calling thread.

    device counts from 0 among the GPUs that CUDA_VISIBLE_DEVICES lets the process see. "pycuda" takes the PyCUDA
    context that the thread is in, if it is one of that device, and cannot capture graphs.

    Raises UnknownNameError, MissingDependencyError where the package is not installed, and CudaError where there is no
    NVIDIA driver, no such device, or a driver that is too old.
    """
    if name not in OPENERS:
        raise UnknownNameError("CUDA implementation", name, DRIVERS)
    return OPENERS[name](device)
