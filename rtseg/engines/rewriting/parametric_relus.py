"""Write PReLU in operators that fuse into a convolution's kernel; PRelu itself takes a separate kernel."""

from __future__ import annotations

import onnx

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import is_map
from rtseg.graphs.change import GraphChange


def parametric_relus(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write PRelu with constant slopes a as max(x, a x) if no slope is above 1, else as max(x, 0) + a min(x, 0)."""
    change = GraphChange(model)
    view = change.view
    for node in view.nodes:
        if node.op_type != "PRelu" or not view.is_constant(node.input[1]) or not is_map(view, node.output[0]):
            continue
        source, result = node.input[0], node.output[0]
        value = view.constant(node.input[1])
        slopes = change.constant(f"{result}_slopes", value)
        if (value <= 1).all():
            change.define(result, "Max", [source, change.add("Mul", [source, slopes], f"{result}_sloped")])
        else:
            above = change.add("Relu", [source], f"{result}_above")
            below = change.add("Relu", [change.add("Neg", [source], f"{result}_negated")], f"{result}_below")
            change.define(result, "Sub", [above, change.add("Mul", [below, slopes], f"{result}_sloped")])
    return change.result()


PARAMETRIC_RELUS = GraphPass("parametric-relus", parametric_relus, carries_over=False)
