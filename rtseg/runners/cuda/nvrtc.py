"""Compile CUDA C++ in the process with NVIDIA's runtime compiler, NVRTC. Needs no GPU and no driver."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from rtseg.errors import CudaError
from rtseg.runners.cuda.bindings_package import bindings
from rtseg.runners.cuda.checked_calls import CheckedCalls
from rtseg.runners.cuda.failures import errors_of

NO_LIBRARY = "no library libnvrtc"
"""Beginning of the error's name if the library is not installed."""


def compile_kernel(source: str, arch: str, *, name: str = "kernel.cu", options: Sequence[str] = ()) -> bytes:
    """Return device code of the CUDA C++ source for an architecture such as sm_90.

    The result is machine code (cubin). For a GPU newer than the compiler it is PTX of the newest architecture below it,
    which the driver compiles on loading. name appears in messages; options are NVRTC's, such as --use_fast_math.

    Raises CudaError with the first lines of the compiler's errors, or if the library libnvrtc is not installed, and
    MissingDependencyError.
    """
    nvrtc = _nvrtc()
    target = target_for(arch, nvrtc.nvrtcGetSupportedArchs("ask NVRTC for its architectures"))
    doing = f"compile {name} for {arch}"
    program = nvrtc.nvrtcCreateProgram(doing, source.encode(), name.encode(), 0, [], [])
    try:
        flags = [f"--gpu-architecture={target}".encode(), *(option.encode() for option in options)]
        try:
            nvrtc.nvrtcCompileProgram(doing, program, len(flags), flags)
        except CudaError as error:
            log = _buffer(nvrtc.nvrtcGetProgramLogSize(doing, program))
            nvrtc.nvrtcGetProgramLog(doing, program, log)
            text = log.rstrip(b"\0").decode(errors="replace")
            raise CudaError(doing, name=errors_of(text) or error.name, code=error.code) from error
        if target.startswith("sm_"):
            code = _buffer(nvrtc.nvrtcGetCUBINSize(doing, program))
            nvrtc.nvrtcGetCUBIN(doing, program, code)
        else:
            code = _buffer(nvrtc.nvrtcGetPTXSize(doing, program))
            nvrtc.nvrtcGetPTX(doing, program, code)
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(doing, program)


def target_for(arch: str, supported: Sequence[int]) -> str:
    """Return arch if the compiler knows it, else the newest virtual architecture below it, such as compute_90.

    Raises CudaError for anything but an architecture, and for one older than all that the compiler knows.
    """
    number = re.fullmatch(r"sm_(\d{2,3})", arch)
    if number is None:
        raise CudaError("compile a kernel", name=f"architecture {arch!r}", expected="one such as sm_90")
    if int(number[1]) in supported:
        return arch
    below = [known for known in supported if known < int(number[1])]
    if not below:
        raise CudaError(
            f"compile for {arch}",
            name=f"an NVRTC that starts at sm_{min(supported)}",
            expected=f"one that knows {arch}",
            hint="install an older CUDA: pip install 'cuda-python<13'",
        )
    return f"compute_{max(below)}"


def _buffer(size: int) -> bytes:
    # NVRTC writes into this buffer. The bindings accept only bytes objects. Python shares objects of one byte; from two
    # bytes on each object is its own.
    return bytes(max(size, 2))


@functools.lru_cache(maxsize=1)
def _nvrtc() -> CheckedCalls:
    driver, module = bindings()
    major = driver.CUDA_VERSION // 1000

    def failed(doing: str, code: Any) -> CudaError:
        return CudaError(doing, name=code.name, code=int(code))

    def missing(doing: str, reason: str) -> CudaError:
        package = "nvidia-cuda-nvrtc" if major >= 13 else f"nvidia-cuda-nvrtc-cu{major}"
        return CudaError(doing, name=f"{NO_LIBRARY}: {reason}", hint=f"run pip install {package}")

    return CheckedCalls(module, failed, missing)
