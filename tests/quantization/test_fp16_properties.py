"""What holds for every small graph and every set of kept nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import QuantizationError
from rtseg.quantization.fp16 import to_fp16
from tests.quantization.fp16_graphs import FLOAT, HALF, graph, node, picture, ran, require_sound, types, weights

OPERATORS = ("Conv", "Relu", "Add", "Concat", "Resize", "ReduceMean", "Mul", "Softmax", "Mask")
CHANNELS = 2
SIDE = 4


@dataclass
class Sketch:
    """A graph in the making: tensors of (1, 2, 4, 4) that any operator may read."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, object] = field(default_factory=dict)
    tensors: list[str] = field(default_factory=lambda: ["image"])

    def add(self, operator: str, first: str, second: str) -> None:
        name = f"t{len(self.nodes)}"
        if operator == "Conv":
            self.constants[f"{name}_w"] = weights(CHANNELS, CHANNELS, 3, 3, seed=len(self.nodes))
            made = [node("Conv", [first, f"{name}_w"], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])]
        elif operator == "Concat":
            self.constants[f"{name}_w"] = weights(CHANNELS, 2 * CHANNELS, 1, 1, seed=len(self.nodes))
            made = [node("Concat", [first, second], f"{name}_a", axis=1)]
            made += [node("Conv", [f"{name}_a", f"{name}_w"], name, kernel_shape=[1, 1])]
        elif operator == "Resize":
            self.constants.update(up=np.array([1, CHANNELS, 8, 8]), down=np.array([1, CHANNELS, SIDE, SIDE]))
            made = [node("Resize", [first, "", "", "up"], f"{name}_a", mode="linear")]
            made += [node("Resize", [f"{name}_a", "", "", "down"], name, mode="linear")]
        elif operator == "ReduceMean":
            made = [node("ReduceMean", [first], f"{name}_a", axes=[2, 3]), node("Sub", [second, f"{name}_a"], name)]
        elif operator == "Mask":
            self.constants["zero"] = np.float32(0)
            made = [node("Greater", [first, "zero"], f"{name}_a"), node("Cast", [f"{name}_a"], f"{name}_b", to=FLOAT)]
            made += [node("Add", [second, f"{name}_b"], name)]
        elif operator == "Mul":
            self.constants["half"] = np.float32(0.3)
            made = [node("Mul", [first, "half"], name)]
        elif operator == "Add":
            made = [node("Add", [first, second], f"{name}_a"), node("Mul", [f"{name}_a", "half"], name)]
            self.constants["half"] = np.float32(0.3)
        else:
            made = [node(operator, [first], name)]
        self.nodes += made
        self.tensors.append(name)

    def model(self) -> onnx.ModelProto:
        last = [node("Mul", [self.tensors[-1], "one"], "output")]
        return graph([*self.nodes, *last], (1, CHANNELS, SIDE, SIDE), one=np.float32(1), **self.constants)


@st.composite
def sketches(draw: st.DrawFn) -> tuple[onnx.ModelProto, list[str]]:
    sketch = Sketch()
    for operator in draw(st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=7)):
        reading = st.sampled_from(sketch.tensors[-3:])
        sketch.add(operator, draw(reading), draw(reading))
    model = sketch.model()
    names = [entry.name for entry in model.graph.node]
    return model, draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))


@settings(deadline=None, max_examples=100)
@given(sketches())
def test_every_graph_becomes_a_sound_one_that_keeps_what_it_was_told_to(
    case: tuple[onnx.ModelProto, list[str]],
) -> None:
    model, keep = case
    casts = {entry.name for entry in model.graph.node if entry.op_type == "Cast"}
    if {entry.name for entry in model.graph.node} - set(keep) <= casts:
        try:
            to_fp16(model, keep=keep)
        except QuantizationError as error:
            assert "no operator would become FP16" in str(error)
            return
        raise AssertionError("a graph that stays FP32 was not refused")
    half = to_fp16(model, keep=keep)
    require_sound(half, model)
    kinds = types(half.model)
    assert not any(HALF in kinds[name] for name in keep)
    assert {name for name, kind in half.precisions.items() if kind == "fp16"} == set(half.precisions) - set(keep)
    array = picture((1, CHANNELS, SIDE, SIDE))
    expected = ran(model, array)
    # Where a mask flips, as a value rounds to zero, the sum jumps by one: not the largest difference.
    assert float(np.median(np.abs(ran(half.model, array) - expected))) < 1e-2 * max(1.0, float(np.abs(expected).max()))
