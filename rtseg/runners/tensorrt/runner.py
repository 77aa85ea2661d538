"""Run an engine with TensorRT or with TensorRT for RTX."""

from __future__ import annotations

import functools
from typing import Callable

import numpy as np

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.errors import RunnerError, UnknownNameError
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.protocol import Array, Runner, TensorSpec
from rtseg.runners.cuda.end_kernels import EndKernels
from rtseg.runners.cuda.protocol import CudaDriver
from rtseg.runners.cuda.registry import DEFAULT, open_cuda
from rtseg.runners.tensorrt.deserialize import OpenEngine, deserialize_engine
from rtseg.runners.tensorrt.ends import FrameEnds
from rtseg.runners.tensorrt.frames import DeviceFrames
from rtseg.runners.tensorrt.lanes import Lane, LanePool
from rtseg.runners.tensorrt.module import PRODUCTS, RTX, RUNTIMES, TENSORRT, TensorRt, load_rtx, load_tensorrt
from rtseg.runners.tensorrt.preflight import require_release_inside, require_runnable, runtime_of
from rtseg.runners.tensorrt.rtx_runtime import open_rtx_engine
from rtseg.runners.tensorrt.steps import EngineStep, LaneStep, OpeningThread
from rtseg.runners.tensorrt.tensors import engine_tensors
from rtseg.specs import ImageSpec, OutputSpec

_PURPOSE = "running an engine"


class TensorRtRunner(Runner):
    """An engine, given as an artifact or a path, on this machine's GPU. It is verified before the product loads it.

    runtime names the product: "tensorrt", or "tensorrt-rtx", whose engines the driver finishes on loading; the result
    is kept in the user's cache folder. contexts is the number of threads that may run at once in infer and frames;
    others wait. Each context takes its own GPU memory, allocated on first use. cuda names a driver of
    rtseg.runners.cuda; with "pycuda" there are no CUDA graphs. device counts from 0 among the GPUs that the process
    sees.

    A step from bind or bind_resident has its own context, and stays usable when the runner is closed.
    """

    def __init__(
        self, engine: ArtifactLike, *, runtime: str = TENSORRT, contexts: int = 2, cuda: str = DEFAULT, device: int = 0
    ) -> None:
        super().__init__()
        if runtime not in RUNTIMES:
            raise UnknownNameError("runtime", runtime, RUNTIMES)
        if contexts < 1:
            raise RunnerError("the number of execution contexts is out of range", got=contexts, expected="1 or more")
        self.backend = runtime if cuda == DEFAULT else f"{runtime}-{cuda}"
        self.device = f"GPU ({PRODUCTS[runtime]})"
        self._runtime = runtime
        self._engine = engine
        self._contexts = contexts
        self._cuda = cuda
        self._ordinal = device
        self._running: _Running | None = None

    @property
    def input(self) -> TensorSpec:
        """The engine's input. Valid while open."""
        return self._live().source.spec

    @property
    def output(self) -> TensorSpec:
        """The engine's output. Valid while open."""
        return self._live().result.spec

    @property
    def driver(self) -> CudaDriver:
        """The CUDA driver of the runner. Valid while open."""
        return self._live().driver

    def open(self) -> None:
        """Load the engine. Opening an open runner does nothing.

        Raises ManifestError for a file that does not match its manifest, MissingDependencyError and CudaError if
        TensorRT or a GPU is missing, RunnerError for an engine of another machine and if memory runs out, and
        EngineError if TensorRT refuses the file.
        """
        super().open()

    def bind_resident(self, array: Array | None = None) -> LaneStep:
        """Return a step of the engine alone, from its input to its output on the GPU, without copies, for timing.

        The input holds a copy of array, or zeros; step.lane.input and step.lane.output are its memory.
        """
        running = self._live()
        if array is not None:
            self._require(array)
        with running.driver.active():
            lane = running.make_lane()
            if array is not None:
                running.driver.copy_to_device(lane.input, np.ascontiguousarray(array), lane.stream)
                running.driver.synchronize(lane.stream)
            return LaneStep(lane, lane.execute, running.opening)

    def frames(self, image: ImageSpec, output: OutputSpec, *, threads: int = 0) -> DeviceFrames:
        """Return whole frames on the GPU, from image to labels. Raises CudaError if the kernels cannot be compiled.

        threads limits the host's cores that resize images for a graph that gives labels itself; 0 means all.
        """
        running = self._live()
        with running.driver.active():
            kernels = None if output.interface == "labels" else EndKernels(running.driver)
        frame_ends = FrameEnds(HostEnds(image, output, threads), kernels)
        return DeviceFrames(running.driver, running.lanes, self._make_lane, running.opening, frame_ends)

    def _load(self) -> None:
        artifact = Artifact.claimed(self._engine, kind="engine")
        content = artifact.content()  # read once: the product gets the verified bytes
        manifest = artifact.manifest
        self._require_product(runtime_of(manifest))
        trt = load_tensorrt(self._runtime, _PURPOSE)
        release = str(trt.__version__)
        driver = open_cuda(self._cuda, self._ordinal)
        notes = require_runnable(manifest, release, driver.device)
        opened = self._read(trt, content, driver.device.name, manifest.sha256)
        running = _Running(trt, driver, opened, self._contexts)
        with running.lanes.lent() as lane:  # so that a lack of memory shows here
            not_kept = opened.keep_what_was_compiled(lane.run)
        self.notes = (*(notes or opened.notes), *not_kept)  # on a newer GPU both give the same note
        architecture = driver.device.architecture.replace("_", "")
        self.device = f"GPU ({driver.device.name}, {architecture}, {PRODUCTS[self._runtime]} {release})"
        self._running = running

    def _require_product(self, built_with: str) -> None:
        if built_with != self._runtime:
            raise RunnerError(
                f"the engine was not built with {PRODUCTS[self._runtime]}",
                got=f"one built with {PRODUCTS.get(built_with, built_with)}",
                hint=f"use --runner {built_with}" if built_with in RUNTIMES else "install a newer rtseg",
            )

    def _read(self, trt: TensorRt, content: bytes, device: str, sha256: str) -> OpenEngine:
        """Return the engine that the product loads from the bytes. The GPU's context is current."""
        if self._runtime != RTX:
            return deserialize_engine(trt, content)
        require_release_inside(content, str(trt.__version__))
        return open_rtx_engine(load_rtx(_PURPOSE), content, device, sha256)

    def _free(self) -> None:
        running, self._running = self._live(), None
        with running.driver.active():
            running.lanes.close()
            del running  # the engine is freed last, after every context

    def _infer(self, array: Array) -> Array:
        running = self._live()
        with running.driver.active(), running.lanes.lent() as lane:
            step = lane.kept("tensors", lambda: EngineStep(lane, running.opening, array))
            step.input[...] = array
            step()
            return np.array(step.output, order="C")

    def _bind(self, array: Array) -> EngineStep:
        running = self._live()
        with running.driver.active():
            return EngineStep(running.make_lane(), running.opening, array)

    def _make_lane(self) -> Lane:
        return self._live().make_lane()

    def _live(self) -> _Running:
        running = self._running
        if running is None:
            raise RunnerError(f"the {self.backend} runner is not open", hint="open it first: with runner: ...")
        return running


class _Running:
    """An open engine and its lanes. In the thread that makes it the GPU's context stays current.

    make_lane returns a lane that no other thread uses; the GPU's context must be current in the calling thread. Nothing
    here refers back to this object, so that the GPU's memory is freed with it, without the garbage collector.
    """

    def __init__(self, trt: TensorRt, driver: CudaDriver, opened: OpenEngine, contexts: int) -> None:
        self.driver = driver
        self.source, self.result = engine_tensors(trt, opened.engine)
        self.opening = OpeningThread()
        self.opening.is_this = True
        self.make_lane: Callable[[], Lane] = functools.partial(Lane, opened, driver, self.source, self.result)
        self.lanes = LanePool(self.make_lane, contexts)
