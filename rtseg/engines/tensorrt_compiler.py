"""TensorRT as a compiler of engines: on the GPU that will run them, with the times of kernels kept between builds."""

from __future__ import annotations

from rtseg.artifacts import PathLike
from rtseg.cuda.protocol import CudaDriver
from rtseg.engines.builder import build_plan
from rtseg.engines.compiler import Compiler, ready_from
from rtseg.engines.plan import Plan, PlanRequest, ReadyGraph
from rtseg.engines.profile import BuildProfile
from rtseg.engines.progress import BuildProgress
from rtseg.engines.target import BuildTarget, build_target
from rtseg.engines.timing_cache import timing_cache_path
from rtseg.lowering.versions import target_for_version


class TensorRtCompiler(Compiler):
    """Builds with the installed TensorRT for the driver's GPU."""

    def __init__(self, driver: CudaDriver) -> None:
        """Ask for TensorRT's version and the GPU. Raises MissingDependencyError and EngineError."""
        self._driver = driver
        self.target: BuildTarget = build_target(driver)

    def ready(self, path: PathLike, precision: str) -> ReadyGraph:
        """Return the file's graph as this release wants it. Raises what compiler.ready_from raises."""
        return ready_from(path, precision, target_for_version(self.target.tensorrt))

    def build(self, ready: ReadyGraph, profile: BuildProfile, progress: BuildProgress) -> Plan:
        """Return the engine. Raises EngineError, RunnerError and KeyboardInterrupt."""
        target = self.target
        times = timing_cache_path(target.tensorrt, target.device, target.compute_capability)
        request = PlanRequest(
            ready.graph, ready.typed, ready.builder_flags, profile, times if profile.timing_cache else None
        )
        with self._driver.active():  # a context is current in one thread, and a build may run in another one
            return build_plan(request, progress)
