"""CUDA C++ to device code, by whichever compiler of NVIDIA's is installed."""

from __future__ import annotations

from collections.abc import Sequence

from rtseg.errors import CudaError
from rtseg.runners.cuda import nvcc, nvrtc


def compile_kernel(source: str, arch: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
    """Return what a driver loads of the source, for an architecture such as sm_90: by NVRTC, without it by nvcc.

    name stands in messages; options are those that both take. Raises CudaError with the compiler's errors, and where
    neither is installed.
    """
    try:
        return nvrtc.compile_kernel(source, arch, name=name, options=options)
    except CudaError as error:
        toolkit = nvcc.find_nvcc() if error.name.startswith(nvrtc.NO_LIBRARY) else None
        if toolkit is None:
            raise
        return nvcc.compile_kernel(toolkit, source, arch, name=name, options=options)
