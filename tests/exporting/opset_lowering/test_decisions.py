"""Every operator that changed after opset 17 was decided on: the same, written otherwise, or refused."""

from __future__ import annotations

from collections import defaultdict

import onnx
import pytest

from rtseg.exporting.opset_lowering.decisions import NEWER, OLDER, REFUSED, SAME
from rtseg.exporting.opset_lowering.opset import OLDEST_OPSET
from rtseg.graphs.canonical import OPSET

COMPATIBLE = """
Abs Add ArgMax ArgMin Cast Ceil Clip Concat Constant CumSum DepthToSpace DequantizeLinear Div Equal Erf Exp Expand
Flatten Floor GRU Gather GatherElements GatherND Gemm Greater GreaterOrEqual Identity If IsNaN LRN LSTM LeakyRelu Less
LessOrEqual Log Loop MatMul Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg NegativeLogLikelihoodLoss NonZero
PRelu Pad Pow QuantizeLinear RNN Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSumSquare Relu Reshape Resize Scan ScatterElements ScatterND Shape Sigmoid Sign Size Slice
SoftmaxCrossEntropyLoss SpaceToDepth Sqrt Sub Sum Tanh Tile Transpose Where
"""
"""Operators that between opset 11 and 17 came to take more, and to say no other thing."""


def versions() -> dict[str, list[int]]:
    found = defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found[schema.name].append(schema.since_version)
    return found


def test_what_changed_after_the_canonical_opset_is_decided_once() -> None:
    changed = {name for name, since in versions().items() if max(since) > OPSET}
    decided = [*SAME, *NEWER, *REFUSED]
    assert sorted(decided) == sorted(set(decided))
    assert changed - set(decided) == set(), "decide on what a newer onnx brought"
    if onnx.defs.onnx_opset_version() >= 28:  # the one that the decisions were made with
        assert set(decided) - changed == set()


def test_what_changed_between_the_oldest_opset_and_the_canonical_one_is_decided() -> None:
    changed = {
        name
        for name, since in versions().items()
        if any(OLDEST_OPSET < version <= OPSET for version in since) and min(since) <= OLDEST_OPSET
    }
    grown_up_later = {"GreaterOrEqual", "LessOrEqual", "NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"}
    assert changed == (set(COMPATIBLE.split()) - grown_up_later) | set(OLDER)


@pytest.mark.parametrize("name", sorted(SAME))
def test_an_operator_said_to_be_the_same_has_the_old_inputs_and_attributes(name: str) -> None:
    before, after = (
        onnx.defs.get_schema(name, OPSET, ""),
        onnx.defs.get_schema(name, onnx.defs.onnx_opset_version(), ""),
    )
    assert [entry.name for entry in after.inputs] == [entry.name for entry in before.inputs]
    assert len(after.outputs) == len(before.outputs)
    assert set(before.attributes) <= set(after.attributes)
    for added in set(after.attributes) - set(before.attributes):
        assert after.attributes[added].default_value.type, f"{added} has no default that could be the old meaning"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refusal_says_what_opset_17_lacks(name: str) -> None:
    assert len(REFUSED[name].split()) > 0 and not REFUSED[name].endswith(".")
