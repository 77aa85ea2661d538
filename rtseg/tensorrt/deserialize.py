"""An engine's bytes, read by TensorRT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtseg.tensorrt.messages import LogRecord, engine_error, runner_error, tensorrt_logger

if TYPE_CHECKING:
    import tensorrt as trt

NO_GPU = "nvidia-smi, which says whether driver and GPU are there"


class OpenEngine:
    """An engine that TensorRT has read, and what lives as long: the runtime, the logger, and a record of its words."""

    def __init__(self, engine: trt.ICudaEngine, runtime: trt.Runtime, logger: trt.ILogger, record: LogRecord) -> None:
        self.engine = engine
        self.runtime = runtime
        self.logger = logger
        self.record = record

    @property
    def scratch_bytes(self) -> int:
        """What each execution context takes of the GPU's memory, beside the weights."""
        if hasattr(self.engine, "device_memory_size_v2"):  # from 10.1 on; 11 has dropped the other
            return int(self.engine.device_memory_size_v2)
        return int(self.engine.device_memory_size)


def deserialize_engine(content: bytes) -> OpenEngine:
    """Return the engine. The calling thread must be in the context of the GPU that will run it.

    Raises RunnerError where TensorRT cannot start on this machine, EngineError where it refuses the bytes: in both its
    own words, and what they mean where that is known.
    """
    import tensorrt as trt

    record = LogRecord()
    logger = tensorrt_logger(record)
    try:
        runtime = trt.Runtime(logger)
    except (TypeError, RuntimeError) as error:  # pybind11's word for a runtime that is a null pointer
        told = [*record.errors, str(error)]
        raise runner_error("TensorRT cannot start its runtime", told, hint=NO_GPU) from error
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise engine_error("TensorRT refuses the engine", record.errors, hint="rtseg build again, on this machine")
    return OpenEngine(engine, runtime, logger, record)
