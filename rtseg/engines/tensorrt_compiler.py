"""TensorRT as a compiler: it builds on the GPU that will run the engine, and keeps kernel times between builds."""

from __future__ import annotations

from rtseg.artifacts.files import PathLike
from rtseg.engines.builder import build_plan
from rtseg.engines.compiler import Compiler, carried_over, ready_from
from rtseg.engines.lowering.versions import form_for_release
from rtseg.engines.plan import Plan, PlanRequest, ReadyGraph
from rtseg.engines.platform import TensorRtPlatform, tensorrt_platform
from rtseg.engines.progress import BuildProgress
from rtseg.engines.settings import BuildSettings
from rtseg.engines.timing_cache import timing_cache_path
from rtseg.observer import SILENT, Observer
from rtseg.runners.cuda.protocol import CudaDriver


class TensorRtCompiler(Compiler):
    """Builds with the installed TensorRT for the driver's GPU."""

    def __init__(self, driver: CudaDriver) -> None:
        """Find TensorRT's version and the GPU. Raises MissingDependencyError and EngineError."""
        self._driver = driver
        self.platform: TensorRtPlatform = tensorrt_platform(driver)

    def ready(self, path: PathLike, precision: str, *, rewrite: bool = True, observer: Observer = SILENT) -> ReadyGraph:
        """Return the file's graph, prepared for this release. Raises what compiler.ready_from raises.

        If rewrite is true, the graph passes that should also help TensorRT are applied; none of them was timed with it.
        """
        form = form_for_release(self.platform.tensorrt)
        return ready_from(path, precision, form, rewriter=carried_over if rewrite else None)

    def build(self, ready: ReadyGraph, settings: BuildSettings, progress: BuildProgress) -> Plan:
        """Return the engine. Raises EngineError, RunnerError and KeyboardInterrupt."""
        platform = self.platform
        times = timing_cache_path(platform.tensorrt, platform.device, platform.compute_capability)
        request = PlanRequest(
            ready.graph, ready.typed, ready.builder_flags, settings, times if settings.timing_cache else None
        )
        with self._driver.active():  # a CUDA context is current in one thread only, and a build may run in another
            return build_plan(request, progress)
