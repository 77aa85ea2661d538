"""Turn CUDA's own errors into messages with advice."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from rtseg.errors import CudaError

OLDEST_DRIVER = (11, 4)
"""The first CUDA version whose driver has every function used here (cuGraphInstantiateWithFlags came last)."""

_NEWER = "install a newer NVIDIA driver, or the CUDA 12 packages: pip install 'cuda-python<13'"
_REBOOT = "restart the machine, or load the kernel module of the installed driver: nvidia-smi says which is running"
_POISONED = "start a new process: the context is lost. compute-sanitizer names the kernel that did it"


_LINES = 6
"""Lines of the compiler's log in an error, to keep it readable."""


@dataclass(frozen=True)
class KnownFailure:
    """A common error: CUDA's number, name and text for it, and what to try."""

    code: int
    name: str
    text: str
    hint: str


KNOWN = (
    KnownFailure(
        2,
        "CUDA_ERROR_OUT_OF_MEMORY",
        "out of memory",
        "use a smaller resolution or batch, or fewer streams, or end other programs on the GPU (nvidia-smi lists them)",
    ),
    KnownFailure(
        34,
        "CUDA_ERROR_STUB_LIBRARY",
        "CUDA driver is a stub library",
        "take the CUDA toolkit's stubs folder out of LD_LIBRARY_PATH",
    ),
    KnownFailure(
        35,
        "CUDA_ERROR_INSUFFICIENT_DRIVER",
        "CUDA driver version is insufficient for CUDA runtime version",
        _NEWER,
    ),
    KnownFailure(
        46,
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "CUDA-capable device(s) is/are busy or unavailable",
        "run nvidia-smi, which shows the compute mode and the programs on the GPU",
    ),
    KnownFailure(
        100,
        "CUDA_ERROR_NO_DEVICE",
        "no CUDA-capable device is detected",
        "use a machine with an NVIDIA GPU; start a container with --gpus all; unset CUDA_VISIBLE_DEVICES",
    ),
    KnownFailure(
        101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal", "run nvidia-smi -L, which lists the devices"
    ),
    KnownFailure(
        200,
        "CUDA_ERROR_INVALID_IMAGE",
        "device kernel image is invalid",
        "compile on this machine: the code is of another CUDA version, or damaged",
    ),
    KnownFailure(
        201,
        "CUDA_ERROR_INVALID_CONTEXT",
        "invalid device context",
        "use `with cuda.active():` in every thread but the one that opened CUDA",
    ),
    KnownFailure(
        209,
        "CUDA_ERROR_NO_BINARY_FOR_GPU",
        "no kernel image is available for execution on the device",
        "compile for this device: code for one compute capability does not run on another",
    ),
    KnownFailure(
        222,
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        "the provided PTX was compiled with an unsupported toolchain.",
        _NEWER,
    ),
    KnownFailure(700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered", _POISONED),
    KnownFailure(716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address", _POISONED),
    KnownFailure(719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure", _POISONED),
    KnownFailure(
        803,
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        "system has unsupported display driver / cuda driver combination",
        _REBOOT,
    ),
    KnownFailure(
        804,
        "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "forward compatibility was attempted on non supported HW",
        _NEWER,
    ),
    KnownFailure(
        900,
        "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        "operation not permitted when stream is capturing",
        "allocate, load and synchronise before the capture begins",
    ),
    KnownFailure(
        901,
        "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        "operation failed due to a previous error during capture",
        "allocate, load and synchronise before the capture begins",
    ),
)

_BY_CODE = {known.code: known for known in KNOWN}
_BY_TEXT = {known.text: known for known in KNOWN}


def failure(doing: str, code: int, name: str) -> CudaError:
    """Return the exception for a return code, with advice if the code is known."""
    known = _BY_CODE.get(code)
    return CudaError(doing, name=name, code=code, hint=known.hint if known else "")


def failure_by_text(doing: str, text: str) -> CudaError:
    """Return the exception for an error in PyCUDA's wording: "cuInit failed: ", CUDA's text, perhaps " - " and more."""
    known = _BY_TEXT.get(text.partition(" failed: ")[2].partition(" - ")[0])
    if known is None:
        return CudaError(doing, name=text)
    return CudaError(doing, name=known.name, code=known.code, hint=known.hint)


def no_driver(reason: str) -> CudaError:
    """Return the exception for a machine whose libcuda cannot be loaded."""
    return CudaError(
        "be used here",
        name=f"no NVIDIA driver: {reason}",
        expected=f"{'nvcuda.dll' if sys.platform == 'win32' else 'libcuda.so.1'}, which the driver installs",
        hint="install the NVIDIA driver; in a container start it with --gpus all",
    )


def missing_function(doing: str, reason: str) -> CudaError:
    """Return the exception for a function that the driver or a library lacks."""
    return CudaError(doing, name=f"a driver that is too old: {reason}", hint=_NEWER)


def require_driver(version: tuple[int, int]) -> None:
    """Raise CudaError for a driver older than OLDEST_DRIVER. version is the newest CUDA that the driver supports."""
    if version < OLDEST_DRIVER:
        raise CudaError(
            "be used here",
            name=f"a driver for CUDA {version[0]}.{version[1]}",
            expected=f"one for CUDA {OLDEST_DRIVER[0]}.{OLDEST_DRIVER[1]} or newer",
            hint="install a newer NVIDIA driver",
        )


def require_device(device: int, count: int) -> None:
    """Raise CudaError unless there are more than `device` devices."""
    if not 0 <= device < count:
        raise CudaError(
            f"open device {device}",
            name=f"{count} device{'s' if count != 1 else ''}",
            expected=f"a number from 0 to {count - 1}" if count else "at least one",
            hint=_BY_CODE[101 if count else 100].hint,
        )


def errors_of(log: str) -> str:
    """Return the lines of a compiler's log that contain "error", joined into one; the first lines if none does."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    chosen = [line for line in lines if re.search(r"\berror\s*:", line)] or lines
    more = f" | and {len(chosen) - _LINES} more" if len(chosen) > _LINES else ""
    return " | ".join(chosen[:_LINES]) + more
