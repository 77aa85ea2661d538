"""A runner's own rewriting, compared once for a file and the versions, and never silently left out."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rtseg.errors import RunnerError
from rtseg.frame.protocol import Array
from rtseg.runners import openvino_model, reference_check
from rtseg.runners.openvino import OpenVinoRunner
from rtseg.runners.reference_check import VERDICTS, differences_from_onnxruntime
from tests.runners.quantized_graphs import Encoding, write_quantized

TOOLS = {"tool": "1"}
SHAPE = (1, 2, 4, 4)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    path = tmp_path / "relu.onnx"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def right(array: Array) -> Array:
    return np.maximum(array, 0)


def wrong_where_negative(array: Array) -> Array:
    return np.maximum(array, np.float32(-0.2))


def wrong_where_large(array: Array) -> Array:
    return np.clip(array, 0, np.float32(6))


def writes_into_its_input(array: Array) -> Array:
    result = right(array)
    array[...] = 7
    return result


def test_a_runner_that_agrees_has_nothing_to_tell(relu: Path) -> None:
    assert differences_from_onnxruntime(relu, right, "mine", TOOLS, threads=1) == ""
    assert differences_from_onnxruntime(relu, writes_into_its_input, "other", TOOLS, threads=1) == ""


@pytest.mark.parametrize("infer", [wrong_where_negative, wrong_where_large])
def test_a_runner_that_disagrees_is_an_error_with_the_way_on_each_time(relu: Path, infer: object) -> None:
    for _ in range(2):
        with pytest.raises(
            RunnerError,
            match=r"the results of mine differ from those of ONNX Runtime on .*relu\.onnx; .* --runner onnxruntime",
        ):
            differences_from_onnxruntime(relu, infer, "mine", TOOLS, threads=1)  # type: ignore[arg-type]


def test_a_verdict_is_kept_for_the_file_and_the_versions(relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    differences_from_onnxruntime(relu, right, "mine", TOOLS, threads=1)
    asked: list[Array] = []

    def infer(array: Array) -> Array:
        asked.append(array)
        return right(array)

    differences_from_onnxruntime(relu, infer, "mine", TOOLS, threads=1)
    assert not asked
    differences_from_onnxruntime(relu, infer, "mine", {"tool": "2"}, threads=1)
    assert len(asked) == 2
    content = relu.read_bytes()
    relu.write_bytes(content + b"\x32\x01x")  # another name of the producer's, the same graph
    differences_from_onnxruntime(relu, infer, "mine", TOOLS, threads=1)
    assert len(asked) == 4


def test_a_damaged_verdict_is_none(relu: Path) -> None:
    differences_from_onnxruntime(relu, right, "mine", TOOLS, threads=1)
    (kept,) = VERDICTS.folder.iterdir()
    VERDICTS.write(kept, b'{"random input": 7}')
    assert differences_from_onnxruntime(relu, right, "mine", TOOLS, threads=1) == ""
    with pytest.raises(RunnerError, match="differ from those of ONNX Runtime"):
        VERDICTS.write(kept, b'{"random input": [1, 0.04]}')
        differences_from_onnxruntime(relu, right, "mine", TOOLS, threads=1)


def test_without_onnxruntime_it_is_said_that_nothing_was_compared(relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    told = differences_from_onnxruntime(relu, right, "mine", TOOLS)
    assert told.startswith("mine is not compared with ONNX Runtime on this file; this needs pip install")
    assert not VERDICTS.folder.exists()


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_rewriting_that_openvino_needs_is_missed_when_it_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_quantized(tmp_path / "x.onnx", ["concatenated"], Encoding("QInt8"))
    with OpenVinoRunner(path, threads=1) as runner:
        assert runner.notes == ()
    monkeypatch.setattr(openvino_model, "join_quantization", lambda model, package: None)
    monkeypatch.setattr(reference_check, "FORMAT", "another")
    with pytest.raises(RunnerError, match=r"the results of openvino differ from those of ONNX Runtime on .*x\.onnx"):
        OpenVinoRunner(path, threads=1).open()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(reference_check, "FORMAT", "a third")
    with OpenVinoRunner(path, threads=1) as runner:
        assert "is not compared with ONNX Runtime" in runner.notes[0]
