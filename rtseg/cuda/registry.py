"""The implementations by name."""

from __future__ import annotations

from rtseg.cuda.protocol import CudaDriver
from rtseg.errors import UnknownNameError

DRIVERS = ("cuda-python", "pycuda")
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
    if name == "cuda-python":
        from rtseg.cuda.bindings_driver import BindingsDriver

        return BindingsDriver(device)
    if name == "pycuda":
        from rtseg.cuda.pycuda_driver import PycudaDriver

        return PycudaDriver(device)
    raise UnknownNameError("CUDA implementation", name, DRIVERS)
