from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from rtseg.engines.rewriting import rtx_choice
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.rtx_choice import rewritten_for_rtx
from rtseg.graphs.change import GraphChange
from rtseg.runners.tensorrt.module import load_rtx
from tests.engines.lowering.lowering_graphs import graph, node

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")

CAPABILITY = (8, 6)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))


def averaged_averages() -> onnx.ModelProto:
    """The average of four pixels, twice: the average of sixteen, in two kernels."""
    pools = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [node("AveragePool", ["image"], "halved", **pools), node("AveragePool", ["halved"], "output", **pools)]
    return graph(nodes, (1, 16, 64, 64), result=(1, 16, 16, 16))


def _averaged_once(model: onnx.ModelProto) -> onnx.ModelProto:
    change = GraphChange(model)
    last = change.view.producer("output")
    assert last is not None
    if last.input[0] == "halved":
        change.define("output", "AveragePool", ["image"], kernel_shape=[4, 4], strides=[4, 4])
    return change.result()


AVERAGED_ONCE = GraphPass("average-of-averages", _averaged_once, carries_over=True)


def test_what_pays_is_found_by_the_compiler() -> None:
    made = rewritten_for_rtx(load_rtx("tests"), averaged_averages(), "fp16", CAPABILITY, [AVERAGED_ONCE])
    (applied,) = made.applied
    assert applied.name == "average-of-averages"
    assert applied.saved is not None and applied.saved.kernels >= 1
    assert [entry.op_type for entry in made.model.graph.node] == ["AveragePool"]


def test_a_choice_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    trt = load_rtx("tests")
    made = rewritten_for_rtx(trt, averaged_averages(), "fp16", CAPABILITY, [AVERAGED_ONCE])

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(rtx_choice, "compiled_cost", refuse)
    again = rewritten_for_rtx(trt, averaged_averages(), "fp16", CAPABILITY, [AVERAGED_ONCE])
    assert again.to_json() == made.to_json()
    assert again.model.SerializeToString() == made.model.SerializeToString()
    with pytest.raises(AssertionError, match="compiled again"):
        rewritten_for_rtx(trt, averaged_averages(), "fp16", (8, 9), [AVERAGED_ONCE])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"applied": [{"name": "gone", "saved": null}]}', b"{}"])
def test_a_choice_that_cannot_be_read_is_made_again(content: bytes) -> None:
    trt = load_rtx("tests")
    made = rewritten_for_rtx(trt, averaged_averages(), "fp16", CAPABILITY, [AVERAGED_ONCE])
    (kept,) = rtx_choice.CHOICES.folder.iterdir()
    rtx_choice.CHOICES.write(kept, content)
    again = rewritten_for_rtx(trt, averaged_averages(), "fp16", CAPABILITY, [AVERAGED_ONCE])
    assert again.to_json() == made.to_json()


def test_a_graph_that_the_compiler_refuses_is_left_to_the_build() -> None:
    model = graph([node("DepthToSpace", ["image"], "output", blocksize=2)], result=(1, 1, 16, 16))
    made = rewritten_for_rtx(load_rtx("tests"), model, "fp32", (9, 9), [AVERAGED_ONCE])
    assert made.model is model and made.applied == () and made.before is None
