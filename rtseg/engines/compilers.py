"""Choose the compiler: the requested one, else one that works on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from rtseg.engines.compiler import Compiler
from rtseg.engines.platform import PURPOSE
from rtseg.engines.rtx_capabilities import rtx_platform
from rtseg.engines.rtx_compiler import RtxCompiler
from rtseg.engines.tensorrt_compiler import TensorRtCompiler
from rtseg.errors import EngineError, MissingDependencyError, RtsegError, UnknownNameError
from rtseg.observer import Observer
from rtseg.runners.cuda.registry import open_cuda
from rtseg.runners.tensorrt.module import RUNTIMES, TENSORRT, load_rtx
from rtseg.runners.tensorrt.release import tensorrt_release


def chosen_compiler(runtime: str | None, capabilities: Sequence[str], cuda: str, observer: Observer) -> Compiler:
    """Return the compiler of a runtime; without a runtime, one that works here, and the observer gets the reason.

    Compute capabilities select TensorRT for RTX, the only product that takes them. Raises UnknownNameError,
    MissingDependencyError and CudaError for what is missing, and EngineError for impossible compute capabilities.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise UnknownNameError("runtime", runtime, RUNTIMES)
    if runtime == TENSORRT:
        if capabilities:
            raise EngineError(
                "TensorRT builds only for the GPU of this machine",
                got=f"compute capability {', '.join(capabilities)}",
                hint="use --runtime tensorrt-rtx, or leave out --compute-capability",
            )
        return tensorrt_compiler(cuda)
    if runtime is None and not capabilities:
        return _whichever(cuda, observer)
    trt = load_rtx(PURPOSE)
    return RtxCompiler(trt, rtx_platform(trt, capabilities))


def _whichever(cuda: str, observer: Observer) -> Compiler:
    try:
        return tensorrt_compiler(cuda)
    except RtsegError as error:
        why = error
    try:
        trt = load_rtx(PURPOSE)
    except MissingDependencyError:
        if isinstance(why, MissingDependencyError):
            raise MissingDependencyError("tensorrt_rtx or tensorrt", extra="rtx", purpose=PURPOSE) from why
        raise why from None
    platform = rtx_platform(trt)
    missing = isinstance(why, MissingDependencyError)
    reason = "TensorRT is not installed" if missing else str(why).partition(". Try: ")[0]
    observer.note(f"TensorRT for RTX {platform.release} builds it: {reason}")
    return RtxCompiler(trt, platform)


def tensorrt_compiler(cuda: str) -> Compiler:
    """Return the compiler of the installed TensorRT. Raises MissingDependencyError, EngineError and CudaError."""
    tensorrt_release(PURPOSE)  # checked first: CUDA may be present without it
    return TensorRtCompiler(open_cuda(cuda))
