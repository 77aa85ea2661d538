"""TensorRT for RTX as a compiler: it builds the engine and, as proof, one engine per compute capability.

An engine for several compute capabilities has one list of layers, which does not show the kernels of each. So each
capability is built once more by itself, only for its list; those engines are discarded.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rtseg.artifacts.files import PathLike
from rtseg.engines.compiler import Compiler, ready_from
from rtseg.engines.inspector import ALONE, ASKED, MACS
from rtseg.engines.lowering.versions import RTX, Capability
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.platform import RtxPlatform, capability_text
from rtseg.engines.progress import BuildProgress
from rtseg.engines.rtx_builder import RtxBuild, build_rtx, left_out
from rtseg.engines.settings import BuildSettings
from rtseg.observer import SILENT, Observer
from rtseg.runners.tensorrt.module import TensorRtRtx

if TYPE_CHECKING:
    from rtseg.engines.rewriting.choice import Rewriter

PHASE = "engines"


class RtxCompiler(Compiler):
    """Builds for an RtxPlatform. Builds are reproducible: the same request gives the same bytes."""

    def __init__(self, trt: TensorRtRtx, platform: RtxPlatform) -> None:
        self._trt: TensorRtRtx = trt
        self.platform: RtxPlatform = platform

    def ready(self, path: PathLike, precision: str, *, rewrite: bool = True, observer: Observer = SILENT) -> ReadyGraph:
        """Return the prepared graph, after the passes that save time on the first compute capability.

        observer receives the progress of choosing them, which takes a build for each. Raises what compiler.ready_from
        raises.
        """
        capabilities = self.platform.capabilities

        def rewriter() -> Rewriter:
            from rtseg.engines.rewriting.passes import rtx_rewriter

            return rtx_rewriter(self._trt, precision, capabilities[0], observer)

        return ready_from(path, precision, RTX, capabilities, rewriter=rewriter if rewrite else None)

    def remarks(self, settings: BuildSettings) -> tuple[str, ...]:
        """Return one sentence for each setting without effect here. Raises EngineError for hardware_compatibility."""
        return tuple(left_out(settings))

    def build(self, ready: ReadyGraph, settings: BuildSettings, progress: BuildProgress) -> Plan:
        """Return the engine, with the layers for each compute capability. Raises EngineError and KeyboardInterrupt."""
        started = time.monotonic()
        platform = self.platform
        alone = platform.capabilities if platform.portable or len(platform.capabilities) > 1 else ()
        progress.start(PHASE, None, 1 + len(alone))

        def built(capabilities: tuple[Capability, ...], step: int) -> RtxBuild:
            made = build_rtx(self._trt, ready.graph, capabilities, settings, progress, within=PHASE)
            progress.step(PHASE, step)
            return made

        engine = built(() if platform.portable else platform.capabilities, 0)
        lists = {capability_text(entry): built((entry,), step).layers for step, entry in enumerate(alone, 1)}
        layers = {
            **engine.layers,
            ASKED: dict(ready.products),
            MACS: dict(ready.macs),
            ALONE: {name: {"Layers": layers["Layers"]} for name, layers in lists.items()},
            "Runtime": platform.to_json(),
        }
        progress.finish(PHASE)
        return Plan(engine.content, json.dumps(layers, separators=(",", ":")), (), time.monotonic() - started)
