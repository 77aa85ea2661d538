"""A lowered graph is valid ONNX and computes what its file says; one that does not is never compiled."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from rtseg.engines.compiler import ready_from
from rtseg.engines.lowering import lower as lowering
from rtseg.engines.lowering.comparison import compared_with_file
from rtseg.engines.lowering.lower import Lowered, lower
from rtseg.engines.lowering.versions import FLAGS, RTX, TURING, TYPED
from rtseg.engines.rewriting.choice import AppliedPass, Rewriting
from rtseg.errors import OnnxError, RunnerError
from rtseg.graphs.canonical import read_canonical
from rtseg.quantization.files import int8_graph, read_original, read_table


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))


def damaged(lowered: Lowered, damage: Callable[[onnx.GraphProto], object]) -> Lowered:
    model = onnx.ModelProto()
    model.CopyFrom(lowered.model)
    damage(model.graph)
    return dataclasses.replace(lowered, model=model, sha256="another")


def without_a_relu(graph: onnx.GraphProto) -> None:
    next(node for node in graph.node if node.op_type == "Relu").op_type = "Identity"


def without_its_constants(graph: onnx.GraphProto) -> None:
    del graph.initializer[:]


@pytest.mark.parametrize(("precision", "form"), [("fp32", RTX), ("fp16", TYPED), ("fp16", FLAGS)])
def test_every_form_of_a_file_computes_what_it_says(exported: Path, precision: str, form: str) -> None:
    assert ready_from(exported, precision, form, [TURING] if form == RTX else []).notes == ()


def test_an_int8_file_computes_what_it_says_beside_fp16(exported: Path, calibrated: Path, tmp_path: Path) -> None:
    original = read_original(exported)
    path = tmp_path / "int8.onnx"
    onnx.save(int8_graph(original, read_table(calibrated, original), target="tensorrt")[0], path)
    assert ready_from(path, "int8", TYPED).notes == ()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_graph_that_computes_something_else_is_refused(affnet_file: Path, precision: str) -> None:
    lowered = damaged(lower(read_canonical(affnet_file), precision, TYPED), without_a_relu)
    refusal = (
        r"for TensorRT \(typed\) differ from those of ONNX Runtime on .*affnet\.onnx.* Try: use another --precision"
    )
    for _ in range(2):
        with pytest.raises(RunnerError, match=refusal):
            compared_with_file(lowered, affnet_file)


def test_a_graph_that_is_not_valid_is_refused(exported: Path) -> None:
    lowered = damaged(lower(read_canonical(exported), "fp16", TYPED), without_its_constants)
    with pytest.raises(OnnxError, match=r"the graph for TensorRT \(typed\), made of .* is not valid"):
        compared_with_file(lowered, exported)


def test_a_build_asks_for_the_comparison(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = lowering.to_fp16

    def wrong(model: onnx.ModelProto, **options: object) -> object:
        made = real(model, **options)  # type: ignore[arg-type]
        without_a_relu(made.model.graph)
        return made

    monkeypatch.setattr(lowering, "to_fp16", wrong)
    with pytest.raises(RunnerError, match="differ from those of ONNX Runtime"):
        ready_from(exported, "fp16", TYPED)


@pytest.mark.parametrize("damage", [without_a_relu, without_its_constants])
def test_passes_that_change_results_are_left_off(exported: Path, damage: Callable[[onnx.GraphProto], object]) -> None:
    def wrong(model: onnx.ModelProto) -> Rewriting:
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        damage(changed.graph)
        return Rewriting(changed, (AppliedPass("wrong"),))

    made = ready_from(exported, "fp32", TYPED, rewriter=lambda: wrong)
    (note,) = made.notes
    assert note.startswith("built without graph passes: ") and "the graph for TensorRT (typed)" in note
    assert made.rewriting == {} and made.sha256 == made.source_sha256


def test_without_onnxruntime_a_note_says_that_nothing_was_compared(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (note,) = ready_from(exported, "fp16", TYPED).notes
    assert note.startswith("the graph for TensorRT (typed) is not compared with ONNX Runtime on this file")
    assert ready_from(exported, "fp32", TYPED).notes == (), "the file's own graph"


def test_what_fp16_does_not_hold_on_large_inputs_is_no_difference(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy"]
    nodes = [helper.make_node("Mul", ["x", "x"], ["s"], "s"), helper.make_node("Mul", ["s", "k"], ["y"], "y")]
    constants = [numpy_helper.from_array(np.full((1, 3, 1, 1), 0.5, np.float32), "k")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "square.onnx")
    assert ready_from(tmp_path / "square.onnx", "fp16", TYPED).notes == ()
