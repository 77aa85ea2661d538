"""Read an engine's bytes with the product that built it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from rtseg.runners.tensorrt.messages import LogRecord, engine_error, runner_error, tensorrt_logger
from rtseg.runners.tensorrt.module import PRODUCTS, RTX, TENSORRT, TensorRt

if TYPE_CHECKING:
    import tensorrt as trt

NO_GPU = "run nvidia-smi, which shows whether driver and GPU are present"

_REBUILD = {
    TENSORRT: "run rtseg build again on this machine",
    RTX: "run rtseg build again with the release of TensorRT for RTX that is installed here",
}


class OpenEngine:
    """A loaded engine, with the objects that must live as long: runtime, logger, and record of its messages.

    notes say what is unusual about running it on this machine.
    """

    product = TENSORRT

    def __init__(
        self,
        engine: trt.ICudaEngine,
        runtime: trt.Runtime,
        logger: trt.ILogger,
        record: LogRecord,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.engine = engine
        self.runtime = runtime
        self.logger = logger
        self.record = record
        self.notes = notes

    @property
    def product_words(self) -> str:
        """The product's name in messages."""
        return PRODUCTS[self.product]

    @property
    def rebuild(self) -> str:
        """The advice if the product refuses to run the engine for an unknown reason."""
        return _REBUILD[self.product]

    def new_context(self, allocate: Callable[[int], int]) -> trt.IExecutionContext | None:
        """Return an execution context, None if the product refuses.

        allocate(size) returns the address of that many bytes on the device, for a context without its own scratch
        memory.
        """
        return self.engine.create_execution_context()

    def keep_what_was_compiled(self, run: Callable[[], None]) -> tuple[str, ...]:
        """Cache what was compiled while loading the engine, for the next start; return notes on what prevented it.

        run executes the engine once, for a product that compiles until the first run.
        """
        return ()

    @property
    def scratch_bytes(self) -> int:
        """GPU memory of each execution context in bytes, without the weights."""
        if hasattr(self.engine, "device_memory_size_v2"):  # from 10.1 on; 11 removed the other
            return int(self.engine.device_memory_size_v2)
        return int(self.engine.device_memory_size)


def deserialize_engine(trt: TensorRt, content: bytes) -> OpenEngine:
    """Return the engine, loaded by that product. The context of its GPU must be current in this thread.

    Raises RunnerError if TensorRT cannot start on this machine, EngineError if it refuses the bytes. Both carry its own
    message, and its meaning if known.
    """
    record = LogRecord()
    logger = tensorrt_logger(trt, record)
    runtime = started_runtime(trt, logger, record)
    return OpenEngine(read_engine(runtime, content, record), runtime, logger, record)


def started_runtime(trt: TensorRt, logger: trt.ILogger, record: LogRecord, product: str = TENSORRT) -> trt.Runtime:
    """Return a runtime. Raises RunnerError if the product cannot start one on this machine."""
    try:
        return trt.Runtime(logger)
    except (TypeError, RuntimeError) as error:  # pybind11 raises these if the runtime is a null pointer
        lines = [*record.errors, str(error)]
        raise runner_error(f"{PRODUCTS[product]} cannot start its runtime", lines, hint=NO_GPU) from error


def read_engine(runtime: trt.Runtime, content: bytes, record: LogRecord, product: str = TENSORRT) -> trt.ICudaEngine:
    """Return the engine in the bytes. Raises EngineError if the product refuses them."""
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise engine_error(f"{PRODUCTS[product]} refuses the engine", record.errors, hint=_REBUILD[product])
    return engine
