"""An engine's bytes, read by the product that built it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from rtseg.runners.tensorrt.messages import LogRecord, engine_error, runner_error, tensorrt_logger
from rtseg.runners.tensorrt.module import PRODUCTS, RTX, TENSORRT, TensorRt

if TYPE_CHECKING:
    import tensorrt as trt

NO_GPU = "nvidia-smi, which says whether driver and GPU are there"

_REBUILD = {
    TENSORRT: "rtseg build again, on this machine",
    RTX: "rtseg build again, with the release of TensorRT for RTX that is installed here",
}


class OpenEngine:
    """An engine that has been read, and what lives as long: the runtime, the logger, and a record of its words.

    notes say what is out of the ordinary about running it here.
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
        """The product that has read it, as messages call it."""
        return PRODUCTS[self.product]

    @property
    def rebuild(self) -> str:
        """What to try where the product refuses to run it, and nobody knows why."""
        return _REBUILD[self.product]

    def new_context(self, allocate: Callable[[int], int]) -> trt.IExecutionContext | None:
        """Return an execution context, None where the product refuses.

        allocate gives a context that brings no scratch memory of its own the address of so many bytes on the device.
        """
        return self.engine.create_execution_context()

    def keep_what_was_compiled(self, run: Callable[[], None]) -> tuple[str, ...]:
        """Keep for the next start what loading the engine took; return in words what stood in the way.

        run takes the engine through one run, for a product that compiles until then.
        """
        return ()

    @property
    def scratch_bytes(self) -> int:
        """What each execution context takes of the GPU's memory, beside the weights."""
        if hasattr(self.engine, "device_memory_size_v2"):  # from 10.1 on; 11 has dropped the other
            return int(self.engine.device_memory_size_v2)
        return int(self.engine.device_memory_size)


def deserialize_engine(trt: TensorRt, content: bytes) -> OpenEngine:
    """Return the engine, read by that product. The calling thread must be in the context of the GPU that will run it.

    Raises RunnerError where TensorRT cannot start on this machine, EngineError where it refuses the bytes: in both its
    own words, and what they mean where that is known.
    """
    record = LogRecord()
    logger = tensorrt_logger(trt, record)
    runtime = started_runtime(trt, logger, record)
    return OpenEngine(read_engine(runtime, content, record), runtime, logger, record)


def started_runtime(trt: TensorRt, logger: trt.ILogger, record: LogRecord, product: str = TENSORRT) -> trt.Runtime:
    """Return a runtime. Raises RunnerError where the product cannot start one on this machine."""
    try:
        return trt.Runtime(logger)
    except (TypeError, RuntimeError) as error:  # pybind11's word for a runtime that is a null pointer
        told = [*record.errors, str(error)]
        raise runner_error(f"{PRODUCTS[product]} cannot start its runtime", told, hint=NO_GPU) from error


def read_engine(runtime: trt.Runtime, content: bytes, record: LogRecord, product: str = TENSORRT) -> trt.ICudaEngine:
    """Return the engine that the bytes hold. Raises EngineError where the product refuses them."""
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise engine_error(f"{PRODUCTS[product]} refuses the engine", record.errors, hint=_REBUILD[product])
    return engine
