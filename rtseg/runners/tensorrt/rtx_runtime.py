"""Load a TensorRT for RTX engine; its contexts share one configuration and what was compiled for this GPU.

rtseg captures its own CUDA graphs, with its two kernels in them, so the product's own graphs are off. A capture must
not contain an allocation: engines are built with REQUIRE_USER_ALLOCATION, and each context gets its scratch memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable

from rtseg.errors import EngineError
from rtseg.runners.tensorrt.deserialize import NO_GPU, OpenEngine, read_engine, started_runtime
from rtseg.runners.tensorrt.messages import LogRecord, engine_error, tensorrt_logger
from rtseg.runners.tensorrt.module import RTX, TensorRtRtx
from rtseg.runners.tensorrt.runtime_cache import fill_runtime_cache, keep_runtime_cache, runtime_cache_path

if TYPE_CHECKING:
    import tensorrt_rtx as trt

_DIAGNOSTICS = (
    ("VERSION_MISMATCH", "it is of another release", "run rtseg build again with the release that is installed here"),
    (
        "UNSUPPORTED_CC",
        "it is not for this GPU",
        "run rtseg build --runtime tensorrt-rtx with the --compute-capability of this GPU",
    ),
    (
        "OLD_CUDA_DRIVER",
        "the NVIDIA driver is too old",
        "install a newer driver: nvidia-smi shows which one is installed",
    ),
    ("OLD_CUDA_RUNTIME", "the CUDA runtime is too old", "run pip install --upgrade tensorrt-rtx"),
    (
        "INSUFFICIENT_GPU_MEMORY",
        "the GPU has not enough memory",
        "use a smaller resolution, or end other programs on the GPU",
    ),
    ("MALFORMED_ENGINE", "it is damaged, or no engine", "run rtseg build again"),
    ("CUDA_ERROR", "CUDA cannot be used", NO_GPU),
)
"""Bits of EngineInvalidityDiagnostics: name, meaning, and what to try."""


class RtxEngine(OpenEngine):
    """An engine loaded by TensorRT for RTX, with the settings of its contexts and the cache that they share.

    Both must outlive the contexts, so keep a reference to this object as long as a context exists.
    """

    product = RTX

    def __init__(
        self,
        trt: TensorRtRtx,
        engine: trt.ICudaEngine,
        runtime: trt.Runtime,
        logger: trt.ILogger,
        record: LogRecord,
        notes: tuple[str, ...],
        cache_path: Path,
    ) -> None:
        super().__init__(engine, runtime, logger, record, notes)
        self._config = engine.create_runtime_config()
        if self._config is None:
            raise engine_error("TensorRT for RTX cannot configure the engine", record.errors, hint=self.rebuild)
        self._config.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED
        self._config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        self._cache = self._config.create_runtime_cache()
        self._cache_path = cache_path
        fill_runtime_cache(self._cache, cache_path)
        self._config.set_runtime_cache(self._cache)

    def new_context(self, allocate: Callable[[int], int]) -> trt.IExecutionContext | None:
        """Return a context with scratch memory from allocate, None if the product refuses."""
        context = self.engine.create_execution_context(self._config)
        size = self.scratch_bytes
        if context is not None and size:
            context.set_device_memory(allocate(size), size)
        return context

    def keep_what_was_compiled(self, run: Callable[[], None]) -> tuple[str, ...]:
        """Write the cache, including what the first run compiles; return a note if it could not be kept."""
        run()
        note = keep_runtime_cache(self._cache, self._cache_path)
        return (note,) if note else ()


def open_rtx_engine(trt: TensorRtRtx, content: bytes, device: str, sha256: str) -> RtxEngine:
    """Return the engine. The context of the GPU that will run it must be current in the calling thread.

    device is that GPU's name and sha256 the engine's digest; both identify its cache. Raises RunnerError if the product
    cannot start, EngineError if the engine cannot be loaded here or its bytes are refused.
    """
    record = LogRecord()
    logger = tensorrt_logger(trt, record)
    runtime = started_runtime(trt, logger, record, RTX)
    notes = require_valid(trt, runtime, content, record)
    engine = read_engine(runtime, content, record, RTX)
    cache_path = runtime_cache_path(str(trt.__version__), device, sha256)
    opened = RtxEngine(trt, engine, runtime, logger, record, notes, cache_path)
    record.clear()  # messages about a cache that does not fit are not the cause of a later failure
    return opened


def require_valid(trt: TensorRtRtx, runtime: trt.Runtime, content: bytes, record: LogRecord) -> tuple[str, ...]:
    """Return notes on what is unusual about an engine that the product can load on this machine.

    Raises EngineError if it cannot, with the meaning of its diagnostics, or with its messages if there are none, as
    without a driver.
    """
    validity, diagnostics = runtime.get_engine_validity(content)
    if validity == trt.EngineValidity.INVALID:
        raise _invalid(trt, int(diagnostics), record)
    if validity == trt.EngineValidity.SUBOPTIMAL:
        return ("TensorRT for RTX says that the engine may be slow on this GPU: one built for it may be faster",)
    return ()


def _invalid(trt: TensorRtRtx, diagnostics: int, record: LogRecord) -> EngineError:
    what = "TensorRT for RTX cannot load the engine"
    bits = trt.EngineInvalidityDiagnostics.__members__
    found = [entry for entry in _DIAGNOSTICS if diagnostics & int(bits[entry[0]])]
    if not found:
        return engine_error(what, record.errors, hint=NO_GPU)
    names, causes, hints = zip(*found)
    return EngineError(f"{what}: {', and '.join(causes)}", got=" and ".join(names), hint=hints[0])
