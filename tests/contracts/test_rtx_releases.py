"""One source builds with every release of TensorRT for RTX from 1.4 to 1.7: each is installed, and asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rtseg.datasets.registry import class_spec
from rtseg.engines.compiler import ready_from
from rtseg.engines.lowering.versions import RTX
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.prepared import network_with_random_weights
from rtseg.specs import Resolution
from tests.contracts.test_tensorrt_rtx_api import RELEASES

ROOT = Path(__file__).resolve().parents[2]
BUILDS = """
import json, sys
from pathlib import Path
from rtseg.engines.plan import ReadyGraph
from rtseg.engines.settings import BuildSettings
from rtseg.engines.progress import BuildProgress
from rtseg.engines.proof import prove_precision
from rtseg.engines.rtx_capabilities import rtx_platform
from rtseg.engines.rtx_compiler import RtxCompiler
from rtseg.errors import EngineError
from rtseg.runners.tensorrt.module import load_rtx

trt = load_rtx("testing")
facts = json.loads(Path(sys.argv[1]).read_text())
ready = ReadyGraph(Path(sys.argv[2]).read_bytes(), **facts)
try:
    plan = RtxCompiler(trt, rtx_platform(trt, sys.argv[3:])).build(ready, BuildSettings(), BuildProgress())
except EngineError as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
proof = prove_precision(plan.layers, ready.precision, must_be_readable=True)
print(json.dumps({
    "release": trt.__version__,
    "in the file": list(plan.content[24:27]),
    "verdict": proof.verdict.to_json(),
    "account": proof.shares["account"],
}))
"""
"""Builds a graph that is ready, with NumPy and the release alone: no onnx, no torch."""


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A release and a Python that has it."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "numpy", f"tensorrt-rtx=={RELEASES[name]}"]
    if subprocess.run(install, capture_output=True, timeout=900, check=False).returncode:
        pytest.skip(f"no tensorrt-rtx {RELEASES[name]} is to be had here: no index, or no wheel for this platform")
    return name, python


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "affnet.onnx"
    export_onnx(network_with_random_weights("affnet", class_spec("camvid"), seed=1), Resolution(64, 96), path)
    return path


def told_by(python: Path, graph: Path, precision: str, folder: Path, *capabilities: str) -> dict[str, Any]:
    """Return what a build in that Python tells."""
    ready = ready_from(graph, precision, RTX, [(8, 6)])
    facts = {name: value for name, value in asdict(ready).items() if name != "graph"}
    (folder / "facts.json").write_text(json.dumps(facts))
    (folder / "graph").write_bytes(ready.graph)
    command = [python, "-c", BUILDS, folder / "facts.json", folder / "graph", *capabilities]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_release_builds_a_portable_engine_that_is_proven(
    release: tuple[str, Path], network: Path, precision: str, tmp_path: Path
) -> None:
    name, python = release
    told = told_by(python, network, precision, tmp_path)
    assert told["verdict"]["passed"], told["verdict"]
    assert told["release"] == RELEASES[name]
    assert told["in the file"] == [int(number) for number in RELEASES[name].split(".")[:3]]
    assert told["account"]["unsized_tensors"] == 0
    assert (told["account"]["constant_bytes"] is None) == (name == "rtx-1.4")


@pytest.mark.slow
def test_int8_is_built_from_1_7_on_and_refused_in_one_line_before(
    release: tuple[str, Path], exported: Path, calibrated: Path, tmp_path: Path
) -> None:
    from rtseg.quantization.files import int8_graph, read_original, read_table, write_derived

    original = read_original(exported)
    model, _ = int8_graph(original, read_table(calibrated, original), target="tensorrt")
    write_derived(original, model, tmp_path / "int8.onnx", precision="int8")
    name, python = release
    told = told_by(python, tmp_path / "int8.onnx", "int8", tmp_path, "8.6")
    if name == "rtx-1.7":
        assert told["verdict"]["passed"], told["verdict"]
    else:
        assert "this release of TensorRT for RTX has no INT8 convolution" in told["refused"]
        assert told["refused"].endswith("Try: run pip install 'tensorrt-rtx>=1.7', or use --precision fp16")
