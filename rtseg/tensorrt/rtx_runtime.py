"""An engine of TensorRT for RTX, read: its contexts are configured and share what was compiled for this GPU.

CUDA graphs are ours, with our two kernels in them, so the product's own are off. A capture of ours must not meet an
allocation: engines are built with REQUIRE_USER_ALLOCATION, and each context is given its scratch memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable

from rtseg.errors import EngineError
from rtseg.tensorrt.deserialize import OpenEngine, read_engine, started_runtime
from rtseg.tensorrt.messages import LogRecord, tensorrt_logger
from rtseg.tensorrt.module import TensorRtRtx
from rtseg.tensorrt.runtime_cache import fill_runtime_cache, keep_runtime_cache, runtime_cache_path

if TYPE_CHECKING:
    import tensorrt_rtx as trt

_DIAGNOSTICS = (
    ("VERSION_MISMATCH", "it is of another release", "rtseg build again, with the release that is installed here"),
    ("UNSUPPORTED_CC", "it is not for this GPU", "rtseg build --runtime tensorrt-rtx --compute-capability of this GPU"),
    ("OLD_CUDA_DRIVER", "the NVIDIA driver is too old", "a newer driver: nvidia-smi tells which one is installed"),
    ("OLD_CUDA_RUNTIME", "the CUDA runtime is too old", "pip install --upgrade tensorrt-rtx"),
    (
        "INSUFFICIENT_GPU_MEMORY",
        "the GPU has not enough memory",
        "a smaller resolution, or end what else is on the GPU",
    ),
    ("MALFORMED_ENGINE", "it is damaged, or no engine", "rtseg build again"),
    ("CUDA_ERROR", "CUDA cannot be used", "nvidia-smi, which says whether driver and GPU are there"),
)
"""Bits of EngineInvalidityDiagnostics: what each means, and what to try."""


class RtxEngine(OpenEngine):
    """An engine that TensorRT for RTX has read, with the settings of its contexts and the cache that they share."""

    def __init__(
        self,
        trt: TensorRtRtx,
        engine: trt.ICudaEngine,
        runtime: trt.Runtime,
        logger: trt.ILogger,
        record: LogRecord,
        cache_path: Path,
    ) -> None:
        super().__init__(engine, runtime, logger, record)
        self._config = engine.create_runtime_config()
        self._config.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED
        self._config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        self._cache = self._config.create_runtime_cache()
        self._cache_path = cache_path
        fill_runtime_cache(self._cache, cache_path)
        self._config.set_runtime_cache(self._cache)

    def new_context(self, allocate: Callable[[int], int]) -> trt.IExecutionContext | None:
        """Return a context with scratch memory from allocate, None where the product refuses."""
        context = self.engine.create_execution_context(self._config)
        size = self.scratch_bytes
        if context is not None and size:
            context.set_device_memory(allocate(size), size)
        return context

    def keep_what_was_compiled(self) -> tuple[str, ...]:
        """Write the cache; return in words why it was not kept."""
        told = keep_runtime_cache(self._cache, self._cache_path)
        return (told,) if told else ()


def open_rtx_engine(trt: TensorRtRtx, content: bytes, device: str, sha256: str) -> RtxEngine:
    """Return the engine. The calling thread must be in the context of the GPU that will run it.

    device is that GPU's name and sha256 the engine's digest, by which its cache is found. Raises RunnerError where the
    product cannot start, EngineError where it says that the engine cannot be loaded here, or refuses its bytes.
    """
    record = LogRecord()
    logger = tensorrt_logger(trt, record)
    runtime = started_runtime(trt, logger, record)
    notes = require_valid(trt, runtime, content)
    cache_path = runtime_cache_path(str(trt.__version__), device, sha256)
    opened = RtxEngine(trt, read_engine(runtime, content, record), runtime, logger, record, cache_path)
    opened.notes = notes
    return opened


def require_valid(trt: TensorRtRtx, runtime: trt.Runtime, content: bytes) -> tuple[str, ...]:
    """Return in words what is out of the ordinary about an engine that the product can load on this machine.

    Raises EngineError where it says that it cannot, with what its diagnostics mean.
    """
    validity, diagnostics = runtime.get_engine_validity(content)
    if validity == trt.EngineValidity.INVALID:
        bits = int(diagnostics)
        names = trt.EngineInvalidityDiagnostics.__members__
        told = [entry for entry in _DIAGNOSTICS if entry[0] in names and bits & int(names[entry[0]])]
        cause, hint = (told[0][1], told[0][2]) if told else ("it does not say why", "nvidia-smi, and rtseg build again")
        raise EngineError(f"TensorRT for RTX cannot load the engine: {cause}", got=f"diagnostics {bits}", hint=hint)
    if validity == trt.EngineValidity.SUBOPTIMAL:
        return ("the engine was not compiled for this GPU's compute capability: one that was may be faster",)
    return ()
