"""TensorRT's API of one version; behind it ONNX Runtime runs the graph an engine holds, on the emulated device."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from rtseg.errors import CudaError
from rtseg.runners.cuda.protocol import DeviceMemory
from tests.contracts.tensorrt_api import Version
from tests.contracts.tensorrt_double import tensorrt_double
from tests.emulated_gpu.driver import EmulatedDriver, Work

MAGIC = b"ftrt emulated\n"
DTYPES = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "INT32": np.int32}
PADDED = {"HWC": 1, "HWC8": 8, "HWC16": 16}
SCRATCH = 1 << 16
"""Bytes on the device that each context takes."""


@dataclass(frozen=True)
class PlanTensor:
    """What an engine says of an input or output."""

    dtype: str
    form: str = "LINEAR"
    shape: tuple[int, ...] | None = None
    """Another one than the graph's."""


def plan_bytes(graph: bytes, release: str, *, source: PlanTensor, result: PlanTensor, extra_outputs: int = 0) -> bytes:
    """Return an "engine": what it says of itself, a digest, and the ONNX graph."""
    facts = {"release": release, "tensors": [vars(source), vars(result)], "extra": extra_outputs}
    payload = json.dumps(facts).encode() + b"\n" + graph
    return MAGIC + hashlib.sha256(payload).hexdigest().encode() + payload


@dataclass
class EngineState:
    graph: Any
    tensors: dict[str, PlanTensor]
    shapes: dict[str, tuple[int, ...]]
    inputs: list[str]
    runtime: Any


@dataclass
class ContextState:
    engine: Any
    scratch: DeviceMemory | None = None
    addresses: dict[str, int] = field(default_factory=dict)
    has_run: bool = False


@functools.cache
def session_of(graph: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if b"QuantizeLinear" in graph:  # its optimiser makes operators for which a scale in FP16 is wrong
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class EmulatedTensorRt:
    """The module, and what it is made to do.

    refuses_to_run, refuses_to_be_captured and cannot_start let the calls fail as TensorRT's do; spoils_captures lets a
    run wait for the device, which CUDA does not allow in a capture. Objects keep alive what they were made of, as its
    bindings see to.
    """

    def __init__(self, version: Version, driver: EmulatedDriver) -> None:
        self.module, self.recorded = tensorrt_double(version)
        self.driver = driver
        self.refuses_to_run = self.refuses_to_be_captured = self.spoils_captures = self.cannot_start = False
        self.loggers: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self.engines: weakref.WeakKeyDictionary[Any, EngineState] = weakref.WeakKeyDictionary()
        self.contexts: weakref.WeakKeyDictionary[Any, ContextState] = weakref.WeakKeyDictionary()
        self.recorded.answers.update(dict(self._answers()))

    @property
    def alive(self) -> tuple[int, int, int]:
        """How many runtimes, engines and contexts there are."""
        return len(self.loggers), len(self.engines), len(self.contexts)

    def _answers(self) -> Iterable[tuple[str, Any]]:
        yield "Runtime.__init__", self._start
        yield "Runtime.deserialize_cuda_engine", self._deserialize
        yield "ICudaEngine.num_io_tensors", lambda engine: len(self.engines[engine].tensors)
        yield "ICudaEngine.get_tensor_name", lambda engine, index: [*self.engines[engine].tensors][index]
        yield "ICudaEngine.get_tensor_mode", self._mode
        yield "ICudaEngine.get_tensor_shape", lambda engine, name: self.engines[engine].shapes[name]
        yield "ICudaEngine.get_tensor_dtype", lambda engine, name: self._number("DataType", engine, name, "dtype")
        yield "ICudaEngine.get_tensor_format", lambda engine, name: self._number("TensorFormat", engine, name, "form")
        yield "ICudaEngine.get_tensor_format_desc", self._described
        yield "ICudaEngine.create_execution_context", self._create_context
        yield "ICudaEngine.device_memory_size", lambda engine: SCRATCH
        yield "ICudaEngine.device_memory_size_v2", lambda engine: SCRATCH
        yield "IExecutionContext.set_tensor_address", self._set_address
        yield "IExecutionContext.get_tensor_strides", self._strides
        yield "IExecutionContext.execute_async_v3", self._execute
        yield "DataType.name", lambda kind: kind.name

    def _start(self, runtime: Any, logger: Any) -> None:
        if self.cannot_start:
            logger.log(self.module.ILogger.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        # It takes no second logger while anything made with the first is left.
        self.loggers[runtime] = next(iter(self.loggers.values()), logger)

    def _deserialize(self, runtime: Any, content: bytes) -> Any:
        digest, payload = content[len(MAGIC) : len(MAGIC) + 64], content[len(MAGIC) + 64 :]
        if not content.startswith(MAGIC) or hashlib.sha256(payload).hexdigest().encode() != digest:
            line = "1: [stdArchiveReader.cpp::StdArchiveReader::30] Error Code 1: Serialization (assertion"
            self._say(runtime, f"{line} magicTagRead == kMAGIC_TAG failed.Magic tag does not match)")
            return None
        head, _, graph = payload.partition(b"\n")
        facts = json.loads(head)
        if facts["release"] != self.module.__version__:
            line = "6: The engine plan file is not compatible with this version of TensorRT, expecting library version"
            self._say(runtime, f"{line} {self.module.__version__} got {facts['release']}, please rebuild.")
            return None
        engine = self.module.ICudaEngine.__new__(self.module.ICudaEngine)
        self.engines[engine] = self._engine_state(runtime, facts, graph)
        return engine

    def _engine_state(self, runtime: Any, facts: dict[str, Any], graph: bytes) -> EngineState:
        session = session_of(graph)
        ends = [*session.get_inputs(), *session.get_outputs()]
        tensors = {end.name: PlanTensor(**told) for end, told in zip(ends, facts["tensors"])}
        shapes = {end.name: tuple(tensors[end.name].shape or end.shape) for end in ends}
        for index in range(facts["extra"]):
            tensors[f"extra{index}"], shapes[f"extra{index}"] = PlanTensor("FLOAT"), (1,)
        return EngineState(session, tensors, shapes, [end.name for end in session.get_inputs()], runtime)

    def _mode(self, engine: Any, name: str) -> Any:
        modes = self.module.TensorIOMode
        return modes.INPUT if name in self.engines[engine].inputs else modes.OUTPUT

    def _number(self, kind: str, engine: Any, name: str, what: str) -> Any:
        return getattr(getattr(self.module, kind), getattr(self.engines[engine].tensors[name], what))

    def _described(self, engine: Any, name: str) -> str:
        return f"Format of {name}: {self.engines[engine].tensors[name].form}"

    def _create_context(self, engine: Any) -> Any:
        try:
            scratch = self.driver.allocate(SCRATCH)
        except CudaError:
            line = "2: [virtualMemoryBuffer.cpp::resizePhysical::144] Error Code 2: OutOfMemory (Requested size was"
            self._say(self.engines[engine].runtime, f"{line} {SCRATCH} bytes.)")
            return None
        context = self.module.IExecutionContext.__new__(self.module.IExecutionContext)
        self.contexts[context] = ContextState(engine, scratch)
        return context

    def _set_address(self, context: Any, name: str, pointer: int) -> bool:
        if name not in self.engines[self.contexts[context].engine].tensors or pointer % 256:
            return False
        self.contexts[context].addresses[name] = pointer
        return True

    def _strides(self, context: Any, name: str) -> tuple[int, ...]:
        shape = self.engines[self.contexts[context].engine].shapes[name]
        return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))

    def _execute(self, context: Any, handle: int) -> bool:
        state = self.contexts[context]
        engine = self.engines[state.engine]
        capturing = self.driver.is_capturing(handle)
        if set(state.addresses) != set(engine.tensors):
            line = "3: [executionContext.cpp::enqueueV3::2666] Error Code 3: API Usage Error (Parameter check failed"
            self._say(
                engine.runtime, f"{line} at: x.cpp::enqueueV3::2666, condition: mContext.profileObliviousBindings)"
            )
            return False
        if self.refuses_to_run or (capturing and (self.refuses_to_be_captured or not state.has_run)):
            self._say(
                engine.runtime, "1: [convolutionRunner.cpp::execute::391] Error Code 1: Cask (Cask convolution exe)"
            )
            return False
        if capturing and self.spoils_captures:
            with contextlib.suppress(CudaError):
                self.driver.allocate(SCRATCH)
        state.has_run = True
        self.driver.counts["execute"] += 1
        self.driver.put(handle, self._work(state))
        return True

    def _work(self, state: ContextState) -> Work:
        return functools.partial(self._run, self.engines[state.engine], dict(state.addresses))

    def _run(self, engine: EngineState, addresses: dict[str, int]) -> None:
        (source,) = engine.graph.get_inputs()
        (result,) = engine.graph.get_outputs()
        given = self._stored(engine, source.name, addresses)
        wanted = np.dtype({"tensor(float)": "float32", "tensor(uint8)": "uint8"}[source.type])
        (made,) = engine.graph.run([result.name], {source.name: given.astype(wanted)})
        stored = self._stored(engine, result.name, addresses)
        told = engine.tensors[result.name]
        if told.form in PADDED:
            stored[...] = np.array(float("nan"), stored.dtype)  # the padding may hold anything
            stored[..., : made.shape[1]] = made.transpose(0, 2, 3, 1)
        else:
            stored[...] = made

    def _stored(self, engine: EngineState, name: str, addresses: dict[str, int]) -> Any:
        told, shape = engine.tensors[name], engine.shapes[name]
        dtype = np.dtype(DTYPES[told.dtype])
        if told.form in PADDED:
            multiple = PADDED[told.form]
            shape = (shape[0], shape[2], shape[3], -(-shape[1] // multiple) * multiple)
        size = int(np.prod(shape)) * dtype.itemsize
        return self.driver.bytes_at(addresses[name], size).view(dtype).reshape(shape)

    def _say(self, runtime: Any, line: str, severity: str = "ERROR") -> None:
        self.loggers[runtime].log(getattr(self.module.ILogger, severity), line)
