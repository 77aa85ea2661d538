"""Raise a graph from opset 17 to opset 19, in which Q/DQ accepts FP16, with one explicit rule per operator.

onnx.version_converter is not used: it leaves attributes that the newer version no longer has, and does not report an
operator whose meaning changed.
"""

from __future__ import annotations

from typing import Callable

import onnx
from onnx import TensorProto, helper

from rtseg.errors import OnnxError
from rtseg.graphs.canonical import OPSET
from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import attribute, node_name

RAISED_OPSET = 19
RAISED_IR_VERSION = 9
"""The IR version that came with opset 19; ONNX Runtime reads it from 1.16 on."""

SAME_MEANING = frozenset(
    {
        "Cast",  # an attribute for float8 only
        "Constant",
        "DequantizeLinear",  # float16 and float8
        "Equal",  # strings
        "Identity",
        "LpPool",  # ceil_mode and dilations, whose defaults are the old meaning
        "Pad",  # an optional input axes, the mode wrap
        "QuantizeLinear",  # float16 and float8
        "Reshape",
        "Resize",  # antialias, axes and keep_aspect_ratio_policy, whose defaults are the old meaning
        "ScatterElements",  # the reductions max and min
        "ScatterND",
        "Shape",
        "Size",
    }
)
"""Operators whose version at opset 19 only adds types, inputs or attributes, which a graph of opset 17 does not use."""

Rewriting = Callable[[onnx.NodeProto, "set[str]"], "list[onnx.TensorProto]"]
"""A rule that changes a node in place and returns the constants that it now reads, under unused names."""


def _axes_as_input(node: onnx.NodeProto, taken: set[str]) -> list[onnx.TensorProto]:
    """Reductions: the attribute axes became an input. Without one they still reduce over all axes."""
    axes = attribute(node, "axes", None)
    if axes is None:
        return []
    _drop(node, "axes")
    name = fresh_name(f"{node.output[0]}_axes", taken)
    node.input.append(name)
    return [helper.make_tensor(name, TensorProto.INT64, [len(axes)], axes)]


def _number_of_outputs(node: onnx.NodeProto, taken: set[str]) -> list[onnx.TensorProto]:
    """Split into equal parts: the number of outputs became a required attribute."""
    if len(node.input) < 2 or not node.input[1]:
        node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))
    return []


def _without_ceiling(node: onnx.NodeProto, taken: set[str]) -> list[onnx.TensorProto]:
    """AveragePool: its windows changed for a size that is rounded up (ceil_mode); without that it is the same."""
    if attribute(node, "ceil_mode", 0):
        raise OnnxError(
            f"{node_name(node)} rounds its size up (ceil_mode), which opset {RAISED_OPSET} computes differently",
            got="ceil_mode 1",
            expected="ceil_mode 0",
        )
    return []


REWRITINGS: dict[str, Rewriting] = {
    "AveragePool": _without_ceiling,
    "Split": _number_of_outputs,
    **{
        f"Reduce{name}": _axes_as_input
        for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
    },
}


def raised_to_19(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph of opset 17 as one of opset 19 and IR 9 that computes the same. The model is not changed.

    Raises OnnxError for another opset, and for an operator that changed and has no rule here.
    """
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if opsets != {"ai.onnx": OPSET}:
        raise OnnxError("only the canonical opset can be raised", got=opsets, expected={"ai.onnx": OPSET})
    raised = onnx.ModelProto()
    raised.CopyFrom(model)
    taken = names_in(model)
    for node in raised.graph.node:
        if node.op_type in REWRITINGS:
            raised.graph.initializer.extend(REWRITINGS[node.op_type](node, taken))
        elif not _is_same(node):
            raise OnnxError(
                f"{node_name(node)} cannot be raised to opset {RAISED_OPSET}",
                got=node.op_type,
                expected=f"one that opset {RAISED_OPSET} did not change, or with a rule in the lowering",
            )
    raised.opset_import[0].version = RAISED_OPSET
    raised.ir_version = RAISED_IR_VERSION
    return raised


def _is_same(node: onnx.NodeProto) -> bool:
    if node.op_type in SAME_MEANING:
        return True
    try:
        before, after = (onnx.defs.get_schema(node.op_type, opset, "") for opset in (OPSET, RAISED_OPSET))
    except onnx.defs.SchemaError:
        return False
    return bool(before.since_version == after.since_version)


def _drop(node: onnx.NodeProto, name: str) -> None:
    left = [entry for entry in node.attribute if entry.name != name]
    del node.attribute[:]
    node.attribute.extend(left)
