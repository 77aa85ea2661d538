"""What can be said of tests/gpu without a GPU: it starts where NumPy is all there is, and its data are true."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from rtseg.engines.lowering.versions import form_for_release
from rtseg.frame.preprocess import resized_image, tensor_from_image
from tests.gpu import stored_graphs

ROOT = Path(__file__).resolve().parents[3]
LANE = ROOT / "tests" / "gpu"

ABSENT = ("torch", "onnx", "onnxruntime", "openvino", "cv2", "PIL", "rich", "click", "safetensors", "hypothesis")
"""What a GPU host need not have."""

BARE = f"""
import runpy, sys
for name in {ABSENT!r}: sys.modules[name] = None
sys.argv = ["pytest", "-m", "gpu", "-v", "-p", "no:cacheprovider"]
runpy.run_module("pytest", run_name="__main__")
"""

FARTHEST = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.3}
"""Of logits with a standard deviation of 1. Sums are rounded otherwise on another CPU, and still more so in FP16, where
a value of INT8 then falls to another step."""


def outcomes(printed: str) -> list[tuple[str, str]]:
    """Return the file and the outcome of each test that `pytest -v` tells of."""
    return re.findall(r"^(?:tests/gpu/)?(\w+\.py)::.+? ([A-Z]+)(?: \(.*\))? +\[ *\d+%\]$", printed, re.MULTILINE)


def test_without_a_gpu_the_lane_is_skipped_with_one_reason_wherever_numpy_is() -> None:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    reasons = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert len(reasons) == 1 and "tests/gpu/conftest.py" in reasons[0] and "no GPU: " in reasons[0], done.stdout
    told = outcomes(done.stdout)
    assert {outcome for _, outcome in told} == {"SKIPPED"}, done.stdout
    assert {file for file, _ in told} == {path.name for path in LANE.glob("test_*.py")}


@pytest.mark.parametrize("path", sorted(LANE.glob("[!w]*.py")), ids=lambda path: path.name)
def test_the_lane_is_python_3_9(path: Path) -> None:
    assert "from __future__ import annotations" in path.read_text()
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_every_form_has_a_graph_for_every_engine_of_the_lane() -> None:
    for form, release in stored_graphs.FORMS.items():
        graphs = [graph for graph in stored_graphs.stored_graphs() if graph.form == form]
        assert {(graph.interface, graph.ready.precision) for graph in graphs} == {
            *(("logits", precision) for precision in ("fp32", "fp16", "int8")),
            *(("labels", precision) for precision in ("fp32", "fp16")),
        }
        assert {graph.ready.typed for graph in graphs} == {form_for_release(release) == "typed"}


def test_a_stored_graph_gives_the_stored_output_in_onnxruntime() -> None:
    reference = stored_graphs.reference()
    for graph in stored_graphs.stored_graphs():
        ready, wanted = graph.ready, reference[f"output-{graph.made_from}"]
        assert hashlib.sha256(ready.graph).hexdigest() == ready.sha256
        given = resized_image if graph.interface == "labels" else tensor_from_image
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level, settings.intra_op_num_threads = 3, 1
        session = onnxruntime.InferenceSession(ready.graph, settings, providers=["CPUExecutionProvider"])
        (result,) = session.run(
            None, {session.get_inputs()[0].name: given(reference["picture"], graph.parent.image)[None]}
        )
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
        if graph.interface == "labels":
            assert (result == wanted).mean() > 0.99
        else:
            assert np.abs(result - wanted).max() < FARTHEST[ready.precision]


def test_every_class_wins_somewhere_in_the_stored_labels() -> None:
    reference = stored_graphs.reference()
    for name in ("fp32", "int8", "labels"):
        assert set(np.unique(reference[f"frame-{name}"])) == set(range(11))
