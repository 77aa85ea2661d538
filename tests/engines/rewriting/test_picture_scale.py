from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from rtseg.engines.rewriting.picture_scale import picture_scale
from rtseg.graphs.view import GraphView
from tests.engines.lowering.lowering_graphs import FLOAT, UINT8, graph, node, picture, ran

STEPS = [("Mul", 0), ("Mul", 1), ("Add", 0), ("Add", 1), ("Sub", 0), ("Sub", 1), ("Div", 1)]


def normalised(
    steps: list[tuple[str, int]], *, cast_first: bool = False, channels_last: bool = False
) -> onnx.ModelProto:
    """Bytes transposed and cast, then each operator with a constant on that side of it."""
    names = ("Cast", "Transpose") if cast_first else ("Transpose", "Cast")
    attributes: dict[str, dict[str, Any]] = {"Cast": {"to": FLOAT}, "Transpose": {"perm": [0, 3, 1, 2]}}
    ends = [
        node(name, [source], f"{name}d", **attributes[name]) for name, source in zip(names, ("image", f"{names[0]}d"))
    ]
    last, made = f"{names[1]}d", []
    for number, (kind, side) in enumerate(steps):
        inputs = [last, f"k{number}"]
        last = "output" if number == len(steps) - 1 else f"s{number}"
        made.append(node(kind, inputs if side else inputs[::-1], last))
    sides = (1, 1, 1, 3) if channels_last else (1, 3, 1, 1)
    constants = {
        f"k{number}": (np.array([1.5, 2, 3], np.float32) * (number + 1)).reshape(sides) for number in range(len(steps))
    }
    return graph([*ends, *made], (1, 4, 3, 3), result=(1, 3, 4, 3), kinds=(UINT8, FLOAT), **constants)


@pytest.mark.parametrize("cast_first", [False, True])
@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", STEPS)
def test_factor_and_offset_are_what_the_graph_computes(
    first: tuple[str, int], second: tuple[str, int], cast_first: bool
) -> None:
    model = normalised([first, second], cast_first=cast_first)
    found = picture_scale(GraphView(model))
    assert found is not None and found.tensor == "output" and found.has_bytes
    image = picture(model)
    expected = image.transpose(0, 3, 1, 2) * found.factor[:, None, None] + found.offset[:, None, None]
    np.testing.assert_allclose(ran(model, image), expected, rtol=1e-5, atol=1e-4)


def test_the_chain_ends_at_the_first_operator_that_is_no_scale() -> None:
    for steps, last in (([("Mul", 1), ("Div", 0)], "s0"), ([("Add", 1), ("Max", 1)], "s0")):
        found = picture_scale(GraphView(normalised(steps)))
        assert found is not None and found.tensor == last
    found = picture_scale(GraphView(normalised([("Mul", 1)], channels_last=True)))  # each column's, not each channel's
    assert found is not None and found.tensor == "Castd"


def test_a_float_picture_is_taken_as_it_is() -> None:
    found = picture_scale(GraphView(graph([node("Mul", ["image", "two"], "output")], two=np.float32(2))))
    assert found is not None and found.tensor == "image" and not found.has_bytes


def test_bytes_that_are_never_transposed_are_no_picture() -> None:
    model = graph([node("Cast", ["image"], "output", to=FLOAT)], kinds=(UINT8, FLOAT))
    assert picture_scale(GraphView(model)) is None
