"""Compile CUDA C++ to device code with whichever NVIDIA compiler is installed."""

from __future__ import annotations

from collections.abc import Sequence

from rtseg.errors import CudaError
from rtseg.runners.cuda import nvcc, nvrtc


def compile_kernel(source: str, arch: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
    """Return device code of the source for an architecture such as sm_90, from NVRTC, else from nvcc.

    name appears in messages; options are those that both accept. Raises CudaError with the compiler's errors, and if
    neither is installed.
    """
    try:
        return nvrtc.compile_kernel(source, arch, name=name, options=options)
    except CudaError as error:
        toolkit = nvcc.find_nvcc() if error.name.startswith(nvrtc.NO_LIBRARY) else None
        if toolkit is None:
            raise
        return nvcc.compile_kernel(toolkit, source, arch, name=name, options=options)
