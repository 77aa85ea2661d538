"""Builds on the emulated machine: "engines" that hold the graph that was parsed, with layers that real ones had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.progress import BuildProgress
from rtseg.engines.rtx_compiler import RtxCompiler
from rtseg.engines.settings import BuildSettings
from tests.contracts.tensorrt_machine import LAYERS
from tests.emulated_gpu.machine import EmulatedMachine
from tests.emulated_gpu.rtx import RtxPlan, rtx_plan_bytes
from tests.emulated_gpu.tensorrt import PlanTensor, plan_bytes


def put_builder(machine: EmulatedMachine, layers: str | None = None) -> None:
    """Let the machine's TensorRT build. Without layers they are of INT8 for a graph with Q/DQ, else of FP16."""
    parsed: list[bytes] = []

    def parse(parser: object, graph: bytes) -> bool:
        parsed.append(graph)
        return True

    def build(*_: object) -> bytes:
        return plan_bytes(parsed[-1], machine.release, **_ends(parsed[-1]))

    def told(*_: object) -> str:
        return layers or LAYERS["int8" if b"QuantizeLinear" in parsed[-1] else "fp16"]

    machine.tensorrt.recorded.answers.update(
        {
            "OnnxParser.parse": parse,
            "Builder.build_serialized_network": build,
            "IBuilderConfig.get_tactic_sources": lambda config: 0b111,
            "IBuilderConfig.set_tactic_sources": lambda *_: True,
            "IBuilderConfig.set_timing_cache": lambda *_: True,
            "ITimingCache.serialize": lambda cache: b"times",
            "EngineInspector.get_engine_information": told,
        }
    )


def put_rtx_builder(machine: EmulatedMachine, monkeypatch: pytest.MonkeyPatch, real: Any) -> None:
    """Let NVIDIA's own compiler, the module `real`, build for the machine, which then runs the graph in its own way.

    The layers, by which the precision is proven, are the real engine's; the engine is the machine's, as nothing here
    could run the real one.
    """
    compile_really = RtxCompiler.build
    machine.rtx.module.ComputeCapability = real.ComputeCapability

    def build(self: RtxCompiler, ready: ReadyGraph, settings: BuildSettings, progress: BuildProgress) -> Plan:
        platform = self.platform
        made = compile_really(RtxCompiler(real, platform), ready, settings, progress)
        plan = RtxPlan(machine.rtx.release, platform.capabilities, platform.portable)
        return replace(made, content=rtx_plan_bytes(ready.graph, plan, **_ends(ready.graph)))

    monkeypatch.setattr(RtxCompiler, "build", build)


def _ends(graph: bytes) -> dict[str, PlanTensor]:
    """Return input and output of an engine of that graph: bytes where it makes labels of a picture."""
    tensor = PlanTensor("UINT8" if b"Cast" in graph and b"ArgMax" in graph else "FLOAT")
    return {"source": tensor, "result": tensor}
