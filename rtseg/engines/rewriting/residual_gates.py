"""Write a map plus a gated copy of itself as one product.

    x + (x * s) * g    becomes    x * (1 + s * g)

The map is read once, and s * g, the product of a vector and a plane, is not stored as a map. A gate of the map's own
size is treated in the same way.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView

MOST_GATES = 4


def _rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    change = GraphChange(model)
    for node in change.view.nodes:
        if node.op_type == "Add":
            _factor_out(change, node)
    return change.result()


def _factor_out(change: GraphChange, node: onnx.NodeProto) -> None:
    """Rewrite the sum if one side is a product that has the other side as a factor."""
    view, result = change.view, node.output[0]
    for kept, product in (node.input, reversed(node.input)):
        if view.is_constant(kept) or view.shape(kept) != view.shape(result):
            continue
        gates = _other_factors(view, product, kept)
        if not gates or len(view.readers(product)) != 1 or product == view.output:
            continue
        gate = gates[0]
        for number, other in enumerate(gates[1:], 1):
            gate = change.add("Mul", [gate, other], f"{result}_gate_{number}")
        kind = helper.tensor_dtype_to_np_dtype(view.element_type(result))
        one = change.constant(f"{result}_one", np.ones((), kind))
        change.define(result, "Mul", [kept, change.add("Add", [gate, one], f"{result}_factor")])
        return


def _other_factors(view: GraphView, tensor: str, kept: str, most: int = MOST_GATES) -> list[str]:
    """Return the factors that turn the kept tensor into the tensor, nearest to the tensor first; empty if none do."""
    node = view.producer(tensor)
    if node is None or node.op_type != "Mul" or not most:
        return []
    for one, other in (node.input, reversed(node.input)):
        if one == kept:
            return [other]
        if before := _other_factors(view, one, kept, most - 1):
            return [*before, other]
    return []


RESIDUAL_GATES = GraphPass(
    name="residual-gates",
    rewrite=_rewritten,
    carries_over=True,
)
