"""TensorRT for RTX as a compiler of engines: the engine itself, and a build for each compute capability alone as proof.

An engine for several compute capabilities has one list of layers, which does not say what each of them gets. So each is
built once more by itself, for its list only. Those engines are thrown away.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rtseg.artifacts.files import PathLike
from rtseg.engines.compiler import Compiler, ready_from
from rtseg.engines.inspector import ALONE, ASKED
from rtseg.engines.lowering.versions import RTX, Capability
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.platform import RtxPlatform, capability_text
from rtseg.engines.progress import BuildProgress
from rtseg.engines.rtx_builder import RtxBuild, build_rtx, left_out
from rtseg.engines.settings import BuildSettings
from rtseg.runners.tensorrt.module import TensorRtRtx

if TYPE_CHECKING:
    from rtseg.engines.rewriting.choice import Rewriter

PHASE = "engines"


class RtxCompiler(Compiler):
    """Builds for an RtxPlatform. Two builds of one request give the same bytes."""

    def __init__(self, trt: TensorRtRtx, platform: RtxPlatform) -> None:
        self._trt: TensorRtRtx = trt
        self.platform: RtxPlatform = platform

    def ready(self, path: PathLike, precision: str, *, rewrite: bool = True) -> ReadyGraph:
        """Return the file's graph as the compiler wants it, after the passes that pay for its first compute capability.

        Raises what compiler.ready_from raises.
        """
        capabilities = self.platform.capabilities

        def rewriter() -> Rewriter:
            from rtseg.engines.rewriting.passes import rtx_rewriter

            return rtx_rewriter(self._trt, precision, capabilities[0])

        return ready_from(path, precision, RTX, capabilities, rewriter=rewriter if rewrite else None)

    def remarks(self, settings: BuildSettings) -> tuple[str, ...]:
        """Return in words which of these settings do nothing here. Raises EngineError for hardware_compatibility."""
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
        told = {
            **engine.layers,
            ASKED: dict(ready.products),
            ALONE: {name: {"Layers": layers["Layers"]} for name, layers in lists.items()},
            "Runtime": platform.to_json(),
        }
        progress.finish(PHASE)
        return Plan(engine.content, json.dumps(told, separators=(",", ":")), (), time.monotonic() - started)
