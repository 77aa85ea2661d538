"""Build one engine with TensorRT: serialised ONNX graph in, serialised engine out. No rtseg file is touched here.

This module uses only what every TensorRT from 8.5 to 11.4 has; rtseg.engines.features handles the differences.
Functions shared with TensorRT for RTX (rtx_builder) take the product's Python module as a parameter.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rtseg.engines.features import apply_settings, create_network, set_precision_flags
from rtseg.engines.plan import Plan, PlanRequest
from rtseg.engines.progress import BuildProgress, tensorrt_monitor
from rtseg.engines.timing_cache import keep_timing_cache, use_timing_cache
from rtseg.errors import EngineError, WriteError
from rtseg.runners.tensorrt.deserialize import NO_GPU, OpenEngine, deserialize_engine
from rtseg.runners.tensorrt.messages import LogRecord, engine_error, tensorrt_logger
from rtseg.runners.tensorrt.module import TENSORRT, TensorRt, load_tensorrt

if TYPE_CHECKING:
    import tensorrt as trt


def build_plan(request: PlanRequest, progress: BuildProgress) -> Plan:
    """Return the engine that TensorRT builds. Takes seconds to many minutes; progress reports how far it is.

    Raises EngineError with TensorRT's own message if it refuses, KeyboardInterrupt if progress was cancelled, and
    RunnerError if the TensorRT runtime cannot start to read the finished engine.
    """
    started = time.monotonic()
    record = LogRecord()
    trt = load_tensorrt(TENSORRT, "building an engine")
    logger = tensorrt_logger(trt, record)
    builder = opened_builder(trt, logger, record)
    network = create_network(trt, builder, typed=request.typed)
    parser = parse(trt, network, logger, record, request.graph)
    config = builder.create_builder_config()
    set_precision_flags(config, request.builder_flags)
    notes = [f"left out: {text}" for text in apply_settings(config, request.settings)]
    if request.timing_cache is not None:
        use_timing_cache(config, request.timing_cache)
    monitor = tensorrt_monitor(trt, progress)
    if monitor is not None and hasattr(config, "progress_monitor"):
        config.progress_monitor = monitor
    serialized = builder.build_serialized_network(network, config)
    del parser  # not earlier: the parser owns the memory of the network's weights
    if progress.cancelled:
        raise KeyboardInterrupt
    if serialized is None:
        raise engine_error("TensorRT could not build the engine", record.errors, hint="change the build settings")
    if request.timing_cache is not None:
        try:
            keep_timing_cache(config, request.timing_cache)
        except WriteError as error:
            notes.append(f"the next build will time every kernel again: {error}")
    content = bytes(memoryview(serialized))
    seconds = time.monotonic() - started
    return Plan(content, layer_information(deserialize_engine(trt, content)), tuple(notes), seconds)


def layer_information(opened: OpenEngine) -> str:
    """Return the inspector's JSON about an engine."""
    import tensorrt as trt

    inspector = opened.engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def opened_builder(trt: TensorRt, logger: trt.ILogger, record: LogRecord) -> trt.Builder:
    """Return a builder. Raises EngineError if TensorRT cannot start one."""
    try:
        return trt.Builder(logger)
    except (TypeError, RuntimeError) as error:  # pybind11 raises these if the builder is a null pointer
        raise engine_error("TensorRT cannot start its builder", [*record.errors, str(error)], hint=NO_GPU) from error


def parse(
    trt: TensorRt, network: trt.INetworkDefinition, logger: trt.ILogger, record: LogRecord, graph: bytes
) -> trt.OnnxParser:
    """Fill the network from the graph; return the parser, which must live until the engine is built.

    Raises EngineError with the parser's messages, and for a dynamic input.
    """
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        lines = [f"node {error.node()}: {error.desc()}" for error in errors]
        raise engine_error(
            "TensorRT's ONNX parser refuses the graph",
            [*record.errors, *lines],
            hint="run rtseg export again, which writes what TensorRT 8.5 parses",
        )
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if any(size < 0 for size in shape):
            raise EngineError(f"the input {tensor.name} has a dynamic shape", got=shape, expected="static sizes")
    return parser
