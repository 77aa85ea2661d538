"""Build one engine with TensorRT for RTX, without a GPU: serialised graph in, serialised engine and layer list out.

The compiler works ahead of time for the requested compute capabilities; the driver finishes the work when the engine is
loaded. So no kernel is timed here, there is no timing cache, and a build takes seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtseg.engines.builder import opened_builder, parse
from rtseg.engines.features import create_network
from rtseg.engines.lowering.versions import Capability
from rtseg.engines.progress import BuildProgress, tensorrt_monitor
from rtseg.engines.rtx_log import inspector_json, is_layer_list
from rtseg.engines.settings import BuildSettings
from rtseg.errors import EngineError
from rtseg.runners.tensorrt.messages import LogRecord, engine_error, tensorrt_logger
from rtseg.runners.tensorrt.module import TensorRtRtx

if TYPE_CHECKING:
    import tensorrt_rtx as trt

_ONE_AT_A_TIME = threading.Lock()
"""Each record receives every message of the product in this process, so two builds at once would mix their lists."""

NO_EFFECT = ("optimization_level", "tiling", "avg_timing_iterations")
"""Fields of BuildSettings that this compiler accepts and ignores, because it times no kernel."""


@dataclass(frozen=True)
class RtxBuild:
    """A serialised engine, and its layers as the inspector would write them (rtx_log.inspector_json)."""

    content: bytes
    layers: dict[str, Any]


class LayerListRecord(LogRecord):
    """The log of a build: collects TensorRT's messages, and puts each JSON list of an engine's layers into `lists`."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: list[str] = []

    def add(self, severity: int, message: str) -> None:
        """Append a layer list to `lists`, and record any other message with its severity."""
        if is_layer_list(message):
            self.lists.append(message)
        else:
            super().add(severity, message)


def build_rtx(
    trt: TensorRtRtx,
    graph: bytes,
    capabilities: Iterable[Capability],
    settings: BuildSettings,
    progress: BuildProgress,
    *,
    within: str,
) -> RtxBuild:
    """Return the engine of a graph for those compute capabilities; without any, for the compiler's own choice.

    within names the phase of progress that this build is a step of. Raises EngineError with the compiler's own message
    if it refuses, and if its log cannot be read; KeyboardInterrupt if progress was cancelled.
    """
    with _ONE_AT_A_TIME:
        record = LayerListRecord()
        logger = tensorrt_logger(trt, record)
        builder = opened_builder(trt, logger, record)
        network = create_network(trt, builder, typed=True)
        parser = parse(trt, network, logger, record, graph)
        config = builder.create_builder_config()
        _aim(trt, config, tuple(capabilities))
        _apply(trt, config, settings)
        config.progress_monitor = tensorrt_monitor(trt, progress, within=within)
        serialized = builder.build_serialized_network(network, config)
        del parser  # not earlier: the parser owns the memory of the network's weights
        if progress.cancelled:
            raise KeyboardInterrupt
        if serialized is None and settings.workspace_mib and any("OutOfMemory" in line for line in record.errors):
            raise EngineError(  # the workspace, not GPU memory: no GPU is used here
                "no kernel fits into the workspace",
                got=f"{settings.workspace_mib} MiB",
                hint="use a larger --workspace",
            )
        if serialized is None:
            # TensorRT adds "no driver" to every refusal; it is never the cause.
            lines = [line for line in record.errors if "cudaError 35" not in line] or record.errors
            raise engine_error(
                "TensorRT for RTX could not build the engine",
                lines,
                hint="keep the graph with rtseg build --keep-graph FILE, and report it",
            )
        content, lists = bytes(memoryview(serialized)), list(record.lists)
    if len(lists) != 1:
        raise EngineError(
            "the builder's log cannot be read: an engine has one list of layers",
            got=f"{len(lists)} lists",
            hint="install TensorRT for RTX 1.4 to 1.7",
        )
    return RtxBuild(content, inspector_json(lists[0]))


def left_out(settings: BuildSettings) -> list[str]:
    """Return one sentence for each setting that this compiler ignores.

    Raises EngineError for hardware_compatibility, which would change which GPUs the engine runs on.
    """
    if settings.hardware_compatibility != "none":
        raise EngineError(
            "TensorRT for RTX has no hardware_compatibility",
            got=settings.hardware_compatibility,
            hint="pass --compute-capability for each kind of GPU, or leave it out for a portable engine",
        )
    plain = BuildSettings()
    changed = [name for name in NO_EFFECT if getattr(settings, name) != getattr(plain, name)]
    return [f"{name} does nothing in TensorRT for RTX, which times no kernel" for name in changed]


def _aim(trt: TensorRtRtx, config: trt.IBuilderConfig, capabilities: tuple[Capability, ...]) -> None:
    config.num_compute_capabilities = len(capabilities)
    for index, (major, minor) in enumerate(capabilities):
        if not config.set_compute_capability(trt.ComputeCapability(10 * major + minor), index):
            raise EngineError(
                f"TensorRT for RTX {trt.__version__} compiles for no compute capability {major}.{minor}",
                hint="install a newer release: pip install --upgrade tensorrt-rtx",
            )


def _apply(trt: TensorRtRtx, config: trt.IBuilderConfig, settings: BuildSettings) -> None:
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if settings.workspace_mib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    if not settings.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if settings.max_aux_streams >= 0:
        config.max_aux_streams = settings.max_aux_streams
    config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)  # needed to capture the engine in a CUDA graph
