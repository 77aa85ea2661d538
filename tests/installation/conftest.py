"""Machines for the chain: an emulated GPU on which both products build, and a machine without one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest

from rtseg.benchmarking.sampling import SamplingRule
from rtseg.engines.rtx_capabilities import PORTABLE
from rtseg.errors import CudaError
from rtseg.installation import engine_steps
from rtseg.installation.finding import Finding
from rtseg.installation.packages import package_findings
from rtseg.installation.walk import walk_the_chain
from rtseg.runners.cuda.protocol import DeviceInfo
from tests.contracts.tensorrt_machine import LAYERS
from tests.emulated_gpu.driver import RTX_4090
from tests.emulated_gpu.injection import put_no_cuda
from tests.emulated_gpu.machine import EmulatedMachine
from tests.emulated_gpu.rtx import RtxPlan, rtx_plan_bytes
from tests.emulated_gpu.tensorrt import PlanTensor, plan_bytes
from tests.native.kernels_on_cpu import KernelsOnCpu

FEW = SamplingRule(min_seconds=0, max_seconds=0, min_samples=3, max_samples=3, warmup_seconds=0)
FLOATS = {"source": PlanTensor("FLOAT"), "result": PlanTensor("FLOAT")}

NO_DRIVER = CudaError("be used here", name="no NVIDIA driver: libcuda.so.1 is not there", hint="install the driver")

MakeMachine = Callable[..., EmulatedMachine]
Walk = Callable[[], "dict[str, Finding]"]


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Walk:
    """Walk the chain, with few samples, and return what is found by the names of the steps."""
    monkeypatch.setattr(engine_steps, "RULE", FEW)
    return lambda: {found.name: found for found in walk_the_chain(package_findings())}


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no driver."""
    put_no_cuda(monkeypatch, NO_DRIVER)


@pytest.fixture
def make_machine(monkeypatch: pytest.MonkeyPatch, kernels_on_cpu: KernelsOnCpu, tmp_path: Path) -> MakeMachine:
    """Put a machine in place whose two products build "engines" that hold the graph they parsed."""

    def made(
        version: str | None = "10.3", rtx: str | None = "rtx-1.7", device: DeviceInfo = RTX_4090, **of_driver: Any
    ) -> EmulatedMachine:
        machine = EmulatedMachine(
            monkeypatch, kernels_on_cpu, tmp_path, version=version, rtx=rtx, device=device, **of_driver
        )
        if version is not None:
            _let_tensorrt_build(machine)
        if rtx is not None:
            _let_rtx_build(machine, monkeypatch)
        pycuda = ModuleType("pycuda")
        pycuda.VERSION_TEXT = "2025.1"  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pycuda", pycuda)
        return machine

    return made


def _let_tensorrt_build(machine: EmulatedMachine) -> None:
    parsed: list[bytes] = []
    machine.tensorrt.recorded.answers.update(
        {
            "OnnxParser.parse": lambda parser, graph: parsed.append(graph) or True,
            "Builder.build_serialized_network": lambda *_: plan_bytes(parsed[-1], machine.release, **FLOATS),
            "IBuilderConfig.get_tactic_sources": lambda config: 0b111,
            "IBuilderConfig.set_tactic_sources": lambda *_: True,
            "EngineInspector.get_engine_information": lambda *_: LAYERS["fp32"],
        }
    )


def _let_rtx_build(machine: EmulatedMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    loggers: list[Any] = []
    aims: list[tuple[int, int]] = []
    module = machine.rtx.module
    known = module.ComputeCapability

    class Capabilities:
        """The enumeration as pybind11 has it: it lists its members, and makes one of a number."""

        def __init__(self) -> None:
            self.__members__ = {name: getattr(known, name) for name in vars(known) if name.startswith("SM")}

        def __call__(self, number: int) -> Any:
            return self.__members__[f"SM{number}"]

    def aim(config: Any, capability: Any, index: int) -> bool:
        aims.append(divmod(int(capability.name[2:]), 10))
        return True

    def build(*_: object) -> bytes:
        graph = onnx.load_from_string(parsed[-1])
        names = [node.name for node in graph.graph.node if node.op_type == "Conv"]
        loggers[-1].log(module.ILogger.VERBOSE, _layer_list(names))
        return rtx_plan_bytes(parsed[-1], RtxPlan(machine.rtx.release, tuple(aims[-1:]) or PORTABLE), **FLOATS)

    monkeypatch.setattr(module, "ComputeCapability", Capabilities())
    machine.rtx.recorded.answers.update(
        {
            "Builder.__init__": lambda builder, logger: loggers.append(logger),
            "OnnxParser.parse": lambda parser, graph: parsed.append(graph) or True,
            "IBuilderConfig.set_compute_capability": aim,
            "Builder.build_serialized_network": build,
        }
    )


def _layer_list(convolutions: list[str]) -> str:
    """Return what the compiler's log says of kernels that compute those convolutions in FP32."""
    order = "Strides: [64,16,4,1], StrideOrder: [3,2,1,0], Datatype: Float, Format: Row major linear FP32 format"
    tensor = f"{{ Name: t, Dimensions: [1,4,4,4], {order} }}"
    lines = [
        f"Name: {name}_myl0_{index}, LayerType: correlation, Inputs: [ {tensor}], Constants: [ {tensor}], "
        f"Outputs: [ {tensor}], TacticName: __myelin_CASK, StreamId: 0, Metadata: [ONNX Layer: {name}]"
        for index, name in enumerate(convolutions)
    ]
    ends = [
        f" Name: {name}, IOMode: {mode}, DataType: Float, Dimensions: [1,4,4,4], Location: Device"
        for name, mode in (("image", "Input"), ("logits", "Output"))
    ]
    return "\n".join(["Layers:", *lines, "", "I/O Tensors:", *ends, ""])
