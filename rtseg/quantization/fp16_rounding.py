"""A graph in FP16 for which ONNX Runtime on a CPU rounds the result of every operator.

By itself it does not. It has no FP16 kernels for most operators, so it computes them in FP32 between Casts, and it
removes the two Casts between one such operator and the next. What lies between two of them is then never rounded, and
never overflows, whatever its optimisation level. Here FP32 arithmetic does the rounding, which no Cast takes away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView

_CONSTANTS = {
    "split": 2.0**13 + 1,  # FP32 has 24 bits, FP16 11
    "largest": 65504.0,
    "smallest_normal": 2.0**-14,
    "fixed": 0.75,  # where FP32 has the steps of FP16's subnormal numbers, 2^-24
    "infinity": np.inf,
}


def every_operator_rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a graph in which every float16 result of an operator is rounded to FP16, beyond it to infinity.

    The copy has the tensors of the graph, under their names, and takes the time of many more operators: it shows what
    FP16 does to the values and is for nothing else. A number is rounded as Veltkamp splits it (T. J. Dekker, A
    floating-point technique for extending the available precision, 1971), a subnormal one by adding a constant.
    """
    view, taken = GraphView(model), names_in(model)
    names = {word: fresh_name(f"fp16_{word}", taken) for word in _CONSTANTS}
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        name = result or fresh_name(f"fp16_{kind}", taken)
        nodes.append(helper.make_node(kind, list(inputs), [name], fresh_name(f"fp16_{kind}", taken), **attributes))
        return name

    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        nodes.append(copy)
        for place, tensor in enumerate(node.output):
            if node.op_type == "Constant" or not tensor or view.element_type(tensor) != TensorProto.FLOAT16:
                continue
            copy.output[place] = fresh_name(f"{tensor}_computed", taken)
            wide = add("Cast", copy.output[place], to=TensorProto.FLOAT)
            scaled = add("Mul", wide, names["split"])
            normal = add("Sub", scaled, add("Sub", scaled, wide))
            tiny = add("Sub", add("Add", wide, names["fixed"]), names["fixed"])
            rounded = add("Where", add("Less", add("Abs", wide), names["smallest_normal"]), tiny, normal)
            beyond = add("Greater", add("Abs", wide), names["largest"])
            infinite = add("Mul", add("Sign", wide), names["infinity"])
            held = add("Where", add("Greater", add("Abs", rounded), names["largest"]), infinite, rounded)
            add(
                "Cast",
                add("Where", add("And", beyond, add("IsNaN", held)), infinite, held),
                result=tensor,
                to=TensorProto.FLOAT16,
            )
    del changed.graph.node[:], changed.graph.value_info[:]
    changed.graph.node.extend(nodes)
    constants = [numpy_helper.from_array(np.array(_CONSTANTS[word], np.float32), name) for word, name in names.items()]
    changed.graph.initializer.extend(constants)
    return changed
