from __future__ import annotations

import numpy as np
import onnx
import pytest

from rtseg.engines.rewriting.quartered_stem import QUARTERED_STEM
from rtseg.engines.rewriting.sliced_windows import sliced_windows
from rtseg.graphs.view import GraphView
from tests.engines.lowering.lowering_graphs import graph, node, operators, picture, weights
from tests.engines.rewriting.rewriting_graphs_b import FLOAT, UINT8, assert_same_values, rewritten

SIZE = (8, 12)
END = 2**62


def cut(
    source: str, result: str, axis: int, start: int, end: int = END
) -> tuple[onnx.NodeProto, dict[str, np.ndarray]]:
    names = [f"{result}_{word}" for word in ("start", "end", "axis", "step")]
    values = dict(zip(names, (np.array([value]) for value in (start, end, axis, 2))))
    return node("Slice", [source, *names], result), values


def sliced(
    *, order: str = "0123m", end: int = END, fill: float = 0.0, factor: float = 0.02, top: int = 1
) -> onnx.ModelProto:
    """A normalised picture's quarters, and their maximum as m, in that order, padded, and convolved."""
    nodes = [
        node("Transpose", ["image"], "t", perm=[0, 3, 1, 2]),
        node("Cast", ["t"], "c", to=FLOAT),
        node("Mul", ["c", "factor"], "x"),
        node("Sub", ["x", "offset"], "p"),
    ]
    constants: dict[str, np.ndarray] = {}
    for y in (0, 1):
        made, values = cut("p", f"rows{y}", 2, y)
        nodes.append(made)
        constants |= values
        for x in (0, 1):
            made, values = cut(f"rows{y}", f"q{2 * y + x}", 3, x, end)
            nodes.append(made)
            constants |= values
    nodes += [
        node("Max", ["q0", "q1"], "m0"),
        node("Max", ["q2", "q3"], "m1"),
        node("Max", ["m0", "m1"], "qm"),
        node("Concat", [f"q{name}" for name in order], "all", axis=1),
        node("Pad", ["all", "pads", "fill"], "padded"),
        node("Conv", ["padded", "w", "b"], "output", kernel_shape=[2, 2], pads=[1 - top, 0, 0, 0]),
    ]
    channels = 3 * len(order) + 1
    return graph(
        nodes,
        (1, *SIZE, 3),
        result=(1, 5, SIZE[0] // 2, SIZE[1] // 2),
        kinds=(UINT8, FLOAT),
        factor=np.array([factor, 0.017, 0.018], np.float32).reshape(1, 3, 1, 1),
        offset=np.array([2.1, 2.0, 1.8], np.float32).reshape(1, 3, 1, 1),
        pads=np.array([0, 0, top, 1, 0, 1, 0, 0]),
        fill=np.array(fill, np.float32),
        w=weights(5, channels, 2, 2),
        b=weights(5, 1).reshape(-1),
        **constants,
    )


@pytest.mark.parametrize("order", ["0123m", "m3210", "0123", "00m"])
@pytest.mark.parametrize("top", [0, 1])
def test_a_graph_that_cuts_its_picture_itself_gets_bytes(order: str, top: int) -> None:
    model = sliced(order=order, top=top)
    changed = rewritten(QUARTERED_STEM, model)
    assert operators(changed)[0] == "Cast" and operators(changed).count("Conv") == 1
    assert QUARTERED_STEM.rewrite(changed) is changed
    assert_same_values(model, changed, picture(model), 1e-5)


def test_a_graph_that_pads_with_something_or_mirrors_the_picture_stays() -> None:
    for model in (sliced(fill=1.0), sliced(factor=-0.02)):
        assert QUARTERED_STEM.rewrite(model) is model


def test_another_cut_is_no_window() -> None:
    model = sliced()
    assert len(sliced_windows(GraphView(model), "p")) == 1
    assert sliced_windows(GraphView(model), "x") == []
    half = onnx.ModelProto()
    half.CopyFrom(model)
    for entry in half.graph.node:
        if entry.output[0] == "m1":
            entry.input[1] = "q2"  # the maximum is one of three quarters
    assert sliced_windows(GraphView(half), "p") == []
