"""TensorRT for RTX's API of one version, and what it has of its own: validity, configured contexts, a runtime cache.

Where it is known what the real one does, it is done here (NVIDIA's documents and samples, and a real 1.7.1 on a
machine without a driver). Of runs that it refuses no real words are known: those here are made up.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from rtseg.errors import CudaError
from rtseg.runners.cuda.protocol import DeviceMemory
from tests.contracts.tensorrt_api import Version
from tests.emulated_gpu.driver import EmulatedDriver, Work
from tests.emulated_gpu.tensorrt import SCRATCH, ContextState, EmulatedTensorRt, EngineState, PlanTensor

MAGIC, HEADER, RELEASE = b"vtrt", 64, slice(24, 27)
"""How an engine begins, how long its header is, and where in that its release stands."""

NOTHING = ((0, 0, 0), 0)
"""What is left where everything was freed: no runtime, no engine, no context, and no byte on the device."""

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class RtxPlan:
    """What an engine is: who built it, for which GPUs, and what each of its contexts takes of the GPU's memory."""

    release: str
    capabilities: tuple[tuple[int, int], ...] = ((8, 9),)
    portable: bool = False
    user_allocation: bool = True
    """Whether it was built with REQUIRE_USER_ALLOCATION."""
    scratch: int = SCRATCH


def rtx_plan_bytes(
    graph: bytes, plan: RtxPlan, *, source: PlanTensor, result: PlanTensor, extra_outputs: int = 0
) -> bytes:
    """Return an "engine": a header as the real ones have, what it says of itself, and the ONNX graph."""
    facts = {**asdict(plan), "tensors": [vars(source), vars(result)], "extra": extra_outputs}
    payload = json.dumps(facts).encode() + b"\n" + graph
    header = bytearray(HEADER)
    header[: len(MAGIC)] = MAGIC
    header[16:24] = (HEADER + len(payload)).to_bytes(8, "little")
    header[RELEASE] = bytes(int(number) for number in plan.release.split(".")[:3])
    return bytes(header) + payload


@dataclass
class RtxEngineState(EngineState):
    weights: DeviceMemory
    digest: str
    user_allocation: bool
    scratch: int


@dataclass
class ConfigState:
    strategy: str = "STATIC"
    cache: Any = None


@dataclass
class RtxContextState(ContextState):
    config: Any = None
    """A weak reference: as far as NVIDIA tells, whoever makes the context has to keep alive what it was made from."""
    user_managed: bool = False
    memory: tuple[int, int] | None = None
    """Address and size of what the user gave."""


@dataclass
class CacheState:
    kernels: set[str] = field(default_factory=set)


class EmulatedRtx(EmulatedTensorRt):
    """The module tensorrt_rtx, and what it is made to do, beside what the other product can be made to do.

    verdict is the name of a validity, and the diagnostics, to be told of every engine. counts says what was compiled
    and which caches were taken. too_early is what went while a context that was made from it was left.
    """

    def __init__(self, version: Version, driver: EmulatedDriver) -> None:
        self.verdict: tuple[str, int] | None = None
        self.cannot_read_gpu = False
        self.counts: Counter[str] = Counter()
        self.too_early: list[str] = []
        self.configs: weakref.WeakKeyDictionary[Any, ConfigState] = weakref.WeakKeyDictionary()
        self.caches: weakref.WeakKeyDictionary[Any, CacheState] = weakref.WeakKeyDictionary()
        super().__init__(version, driver)
        bits = self.module.EngineInvalidityDiagnostics
        known = version.classes["EngineInvalidityDiagnostics"]
        bits.__members__ = {name: getattr(bits, name) for name, value in known.items() if isinstance(value, int)}

    @property
    def release(self) -> str:
        return str(self.module.__version__)

    @property
    def left(self) -> tuple[tuple[int, int, int], int]:
        """What there is of the product's objects, and of bytes on the device."""
        return self.alive, self.driver.used

    @property
    def seen(self) -> list[Any]:
        """The arguments of each call by which the product was given an engine's bytes."""
        asked = ("Runtime.get_engine_validity", "Runtime.deserialize_cuda_engine")
        return [arguments for name in asked for arguments in self.recorded.arguments(name)]

    def _answers(self) -> Iterable[tuple[str, Any]]:
        yield from super()._answers()
        yield "Runtime.engine_header_size", lambda runtime: HEADER
        yield "Runtime.get_engine_validity", self._validity
        yield "ICudaEngine.create_runtime_config", self._create_config
        yield "ICudaEngine.device_memory_size_v2", lambda engine: self.engines[engine].scratch
        yield "IRuntimeConfig.set_execution_context_allocation_strategy", self._set_strategy
        yield "IRuntimeConfig.create_runtime_cache", self._create_cache
        yield "IRuntimeConfig.set_runtime_cache", self._set_cache
        yield "IRuntimeCache.serialize", self._serialize_cache
        yield "IRuntimeCache.deserialize", self._deserialize_cache
        yield "IExecutionContext.set_device_memory", self._set_memory
        yield "IExecutionContext.is_stream_capturable", lambda context, stream: self._capturable(self.contexts[context])

    # Engines

    def _validity(self, runtime: Any, buffer: bytes) -> tuple[Any, int]:
        validity, diagnostics = self.verdict or self._judged(runtime, bytes(buffer))
        return getattr(self.module.EngineValidity, validity), diagnostics

    def _judged(self, runtime: Any, content: bytes) -> tuple[str, int]:
        if len(content) < HEADER or not content.startswith(MAGIC):
            self._say(runtime, "The engine header does not conform to the expected format for TensorRT-RTX.", "INFO")
            return "INVALID", self._bit("MALFORMED_ENGINE")
        if tuple(content[RELEASE]) != tuple(map(int, self.release.split(".")[:3])):
            self._say(runtime, "The engine has been created with TensorRT-RTX version .., but the current", "INFO")
            return "INVALID", self._bit("VERSION_MISMATCH")
        free, _ = self.driver.memory()  # in the calling thread's context
        if self.cannot_read_gpu:
            line = "Error reading CUDA GPU properties: In getCurrentCC at /_src/runtime/dispatch/planHeaders.cpp:130"
            self._say(runtime, f"{line} (cudaError 35: CUDA driver version is insufficient for CUDA runtime version)")
            return "INVALID", 0
        facts, graph = _parts(content)
        here, listed = self.driver.device.compute_capability, [tuple(entry) for entry in facts["capabilities"]]
        newer = facts["portable"] and here > max(listed)
        if here not in listed and not newer:
            return "INVALID", self._bit("UNSUPPORTED_CC")
        if len(graph) + facts["scratch"] > free:
            return "INVALID", self._bit("INSUFFICIENT_GPU_MEMORY")
        return ("SUBOPTIMAL", 0) if newer else ("VALID", 0)

    def _bit(self, name: str) -> int:
        return int(getattr(self.module.EngineInvalidityDiagnostics, name))

    def _deserialize(self, runtime: Any, content: bytes) -> Any:
        validity, diagnostics = self._judged(runtime, content)
        if validity == "INVALID":
            line = "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion"
            self._say(runtime, f"{line} header.magicTag == kEXPECTED_MAGIC_TAG failed, diagnostics {diagnostics})")
            return None
        facts, graph = _parts(content)
        plain = self._engine_state(runtime, facts, graph)
        weights, digest = self.driver.allocate(len(graph)), hashlib.sha256(content).hexdigest()
        engine = self.module.ICudaEngine.__new__(self.module.ICudaEngine)
        self.engines[engine] = RtxEngineState(
            **vars(plain),
            weights=weights,
            digest=digest,
            user_allocation=facts["user_allocation"],
            scratch=facts["scratch"],
        )
        return engine

    # Configurations and caches

    def _create_config(self, engine: Any) -> Any:
        config = self.module.IRuntimeConfig.__new__(self.module.IRuntimeConfig)
        self.configs[config] = ConfigState()
        return config

    def _set_strategy(self, config: Any, strategy: Any = None) -> None:
        self.configs[config].strategy = "STATIC" if strategy is None else strategy.name

    def _create_cache(self, config: Any) -> Any:
        cache = self.module.IRuntimeCache.__new__(self.module.IRuntimeCache)
        self.caches[cache] = CacheState()
        return cache

    def _set_cache(self, config: Any, cache: Any) -> bool:
        self.configs[config].cache = self._weak(cache, "a runtime cache")
        return True

    def _weak(self, value: Any, what: str) -> weakref.ref[Any]:
        """Return a reference to something that others have to keep alive, and take it out of the record of calls."""
        for index, (name, arguments) in enumerate(self.recorded.calls):
            if any(argument is value for argument in arguments):
                self.recorded.calls[index] = name, tuple(weakref.ref(value) if a is value else a for a in arguments)

        def gone(reference: weakref.ref[Any]) -> None:
            if any(reference in self._made_from(state) for state in self.contexts.values()):
                self.too_early.append(what)

        return weakref.ref(value, gone)

    def _made_from(self, state: RtxContextState) -> tuple[Any, ...]:
        """Return the references to what has to outlive the context."""
        config = None if state.config is None else state.config()
        return state.config, None if config is None else self.configs[config].cache

    def _environment(self) -> dict[str, Any]:
        device = self.driver.device
        self.driver.memory()  # in the calling thread's context
        return {"gpu": device.name, "release": self.release, "driver": list(device.driver)}

    def _serialize_cache(self, cache: Any) -> bytes:
        return json.dumps({**self._environment(), "kernels": sorted(self.caches[cache].kernels)}).encode()

    def _deserialize_cache(self, cache: Any, blob: bytes) -> bool:
        here, told = self._environment(), json.loads(blob)
        same = all(told[name] == here[name] for name in ("gpu", "release"))
        fits = same and told["driver"][0] == here["driver"][0] and told["driver"] <= here["driver"]
        self.counts["cache taken" if fits else "cache refused"] += 1
        if fits:
            self.caches[cache].kernels |= set(told["kernels"])
        else:
            for runtime in list(self.loggers):
                self._say(runtime, "IRuntimeCache::deserialize: the cache is of another environment")
        return bool(fits)

    def _compile(self, state: RtxContextState, when: str) -> None:
        """Compile a part of the engine, unless the context's cache has it."""
        kernel = f"{self.engines[state.engine].digest} {when}"
        _, reference = self._made_from(state)
        cache = None if reference is None else self.caches[reference()]
        if cache is not None and kernel in cache.kernels:
            return
        self.counts[f"compiled {when}"] += 1
        if cache is not None:
            cache.kernels.add(kernel)

    # Contexts

    def _create_context(self, engine: Any, how: Any = None) -> Any:
        state = RtxContextState(engine)
        if isinstance(how, self.module.IRuntimeConfig):
            state.config = self._weak(how, "a runtime configuration")
            state.user_managed = self.configs[how].strategy == "USER_MANAGED"
        elif how is not None:
            state.user_managed = how.name == "USER_MANAGED"
        self._compile(state, "when loaded")
        context = self.module.IExecutionContext.__new__(self.module.IExecutionContext)
        self.contexts[context] = state
        return context

    def _set_memory(self, context: Any, pointer: int, size: int) -> None:
        state = self.contexts[context]
        if pointer % 256 or size < self.engines[state.engine].scratch:
            line = "IExecutionContext::setDeviceMemoryV2: Error Code 3: API Usage Error (Parameter check failed,"
            self._say(self.engines[state.engine].runtime, f"{line} condition: size >= mEngine.getDeviceMemorySizeV2())")
            return
        state.memory = pointer, size

    def _capturable(self, state: RtxContextState) -> bool:
        return state.user_managed and self.engines[state.engine].user_allocation

    def _execute(self, context: Any, handle: int) -> bool:
        state = self.contexts[context]
        engine = self.engines[state.engine]
        if told := self._take_memory(state):
            self._say(engine.runtime, f"IExecutionContext::enqueueV3: Error Code {told}")
            return False
        if not state.has_run:
            self._compile(state, "in a run")
        return super()._execute(context, handle)

    def _take_memory(self, state: RtxContextState) -> str:
        """See to the memory of one run: the user's, or some that is taken for it. Return what stands in the way."""
        engine = self.engines[state.engine]
        state.scratch = None
        if not self._capturable(state):
            try:
                state.scratch = self.driver.allocate(engine.scratch)
            except CudaError as error:
                return f"2: OutOfMemory (Requested size was {engine.scratch} bytes: {error})"
        if state.user_managed and engine.scratch and (state.memory is None or not self.driver.holds(*state.memory)):
            return "3: API Usage Error (no device memory was set, or it is gone)"
        return ""

    def _work(self, state: Any) -> Work:
        run, engine = super()._work(state), self.engines[state.engine]
        own: DeviceMemory | None = state.scratch
        pointer = own.handle if own is not None else state.memory and state.memory[0]

        def with_scratch() -> None:
            if engine.scratch:
                scratch, mine = self.driver.bytes_at(pointer, engine.scratch), next(_NUMBERS) % 251
                scratch[...] = mine
                run()
                assert (scratch == mine).all(), "another run used the same scratch memory"
            else:
                run()
            if own is not None:
                own.close()

        return with_scratch


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    head, _, graph = content[HEADER:].partition(b"\n")
    return json.loads(head), graph
