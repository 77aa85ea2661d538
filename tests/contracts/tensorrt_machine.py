"""A machine with a version of TensorRT and a GPU, as far as `rtseg build` sees one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rtseg.runners.cuda.protocol import DeviceInfo
from tests.contracts.tensorrt_api import Version
from tests.contracts.tensorrt_double import Recorded, tensorrt_double
from tests.emulated_gpu.injection import put_device

GPU = DeviceInfo(0, "NVIDIA H200", (9, 0), 150 << 30, 132, (13, 0))
INSPECTOR = Path(__file__).resolve().parents[1] / "data" / "inspector"


def layers(name: str) -> str:
    """Return what the inspector told of an engine."""
    return (INSPECTOR / name).read_text(encoding="utf-8")


LAYERS = {
    "fp32": layers("fp16-asked-fp32-built-11.json"),
    "fp16": layers("fp16-8.5.json"),
    "int8": layers("int8-8.5.json"),
}
"""By the precision that an engine is built in."""


def put_tensorrt(monkeypatch: pytest.MonkeyPatch, version: Version, cache: Path) -> Recorded:
    """Install a version whose builds succeed, in FP16, and give rtseg a cache of its own."""
    module, recorded = tensorrt_double(version)
    recorded.answers.update(
        {
            "OnnxParser.parse": lambda parser, graph: True,
            "Builder.build_serialized_network": lambda *_: b"engine",
            "IBuilderConfig.set_timing_cache": lambda *_: True,
            "ITimingCache.serialize": lambda cache: b"times",
        }
    )
    put_layers(recorded, LAYERS["fp16"])
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setenv("RTSEG_CACHE", str(cache))
    return recorded


def put_layers(recorded: Recorded, text: str) -> None:
    """Let the inspector tell that of every engine."""
    recorded.answers["EngineInspector.get_engine_information"] = lambda *_: text


def put_gpu(monkeypatch: pytest.MonkeyPatch, device: DeviceInfo = GPU) -> None:
    """Let rtseg find that GPU."""
    put_device(monkeypatch, device)


def builds(recorded: Recorded) -> int:
    """Return how often an engine was built."""
    return len(recorded.arguments("Builder.build_serialized_network"))
