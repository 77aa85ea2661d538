from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.lowering.byte_ends import with_float_ends
from rtseg.engines.rewriting.quartered_stem import QUARTERED_STEM
from rtseg.quantization.fp16 import to_fp16
from tests.engines.lowering.lowering_graphs import FLOAT, UINT8, graph, node, operators, picture, weights
from tests.engines.rewriting.rewriting_graphs_b import assert_same_values, compiled, half_error, rewritten

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
FACTOR = (1 / 255 / STD).astype(np.float32).reshape(1, 3, 1, 1)
OFFSET = (MEAN / STD).astype(np.float32).reshape(1, 3, 1, 1)
NORMALISED = [
    node("Transpose", ["image"], "t", perm=[0, 3, 1, 2]),
    node("Cast", ["t"], "c", to=FLOAT),
    node("Mul", ["c", "factor"], "m"),
    node("Sub", ["m", "offset"], "p"),
]


def convolution(result: str, side: int = 3, pads: tuple[int, ...] = (1, 1, 1, 1), **others: Any) -> onnx.NodeProto:
    bias = ["b"] if others.pop("bias", True) else []
    kept = {"kernel_shape": [side, side], "strides": [2, 2], "pads": list(pads), **others}
    return node("Conv", [others.pop("source", "p"), "w", *bias], result, **kept)


def stem(
    nodes: list[onnx.NodeProto],
    size: tuple[int, int],
    result: tuple[int, int, int],
    *,
    side: int = 3,
    as_bytes: bool = True,
    **constants: Any,
) -> onnx.ModelProto:
    """The nodes read "p"; the last gives "output"."""
    values = {"w": weights(result[0], 3, side, side), "b": weights(result[0], 1).reshape(-1)}
    if as_bytes:
        values |= {"factor": FACTOR, "offset": OFFSET}
        return graph(
            [*NORMALISED, *nodes], (1, *size, 3), result=(1, *result), kinds=(UINT8, FLOAT), **{**values, **constants}
        )
    read: list[onnx.NodeProto] = []
    for entry in nodes:
        made = onnx.NodeProto()
        made.CopyFrom(entry)
        made.input[:] = ["image" if name == "p" else name for name in entry.input]
        read.append(made)
    return graph(read, (1, 3, *size), result=(1, *result), **{**values, **constants})


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    side=st.integers(1, 7),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    bias=st.booleans(),
    as_bytes=st.booleans(),
)
def test_a_convolution_of_stride_2_computes_the_same(
    size: tuple[int, int], side: int, pads: tuple[int, ...], bias: bool, as_bytes: bool
) -> None:
    height, width = (2 * length for length in size)
    result = (height + pads[0] + pads[2] - side) // 2 + 1, (width + pads[1] + pads[3] - side) // 2 + 1
    model = stem(
        [convolution("output", side, pads, bias=bias)], (height, width), (5, *result), side=side, as_bytes=as_bytes
    )
    changed = QUARTERED_STEM.rewrite(model)
    if changed is model:  # the windows end before the last two rows or columns: the padding would be negative
        assert any(
            2 * (out - 1) + side - before <= length - 2 for out, before, length in zip(result, pads, (height, width))
        )
        return
    onnx.checker.check_model(changed, full_check=True)
    assert_same_values(model, changed, picture(model), 1e-5)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_maximum_beside_the_convolution_becomes_part_of_it(as_bytes: bool) -> None:
    nodes = [
        convolution("a"),
        node("MaxPool", ["p"], "b2", kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["a", "b2"], "d", axis=1),
        node("Relu", ["d"], "output"),
    ]
    model = stem(nodes, (12, 8), (8, 6, 4), as_bytes=as_bytes, w=weights(5, 3, 3, 3), b=weights(5, 1).reshape(-1))
    changed = rewritten(QUARTERED_STEM, model)
    assert not {"MaxPool", "Div"} & set(operators(changed))
    assert operators(changed).count("Concat") == 1
    assert_same_values(model, changed, picture(model), 1e-5)


def test_an_average_beside_the_convolution_is_a_window_too() -> None:
    nodes = [
        convolution("a"),
        node("AveragePool", ["p"], "q", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1),
        node("Concat", ["q", "a"], "output", axis=1),
    ]
    model = stem(nodes, (12, 8), (8, 6, 4), w=weights(5, 3, 3, 3), b=weights(5, 1).reshape(-1))
    changed = rewritten(QUARTERED_STEM, model)
    assert "AveragePool" not in operators(changed)
    assert_same_values(model, changed, picture(model), 1e-5)


def test_bytes_meet_a_cast_only_and_nothing_stays_fp32_before_the_convolution() -> None:
    changed = rewritten(QUARTERED_STEM, stem([convolution("output")], (8, 8), (5, 4, 4)))
    assert operators(changed)[0] == "Cast"
    assert with_float_ends(changed) == changed


@pytest.mark.parametrize("seed", range(3))
def test_fp16_errs_no_more_than_with_the_picture_normalised_in_fp32(seed: int) -> None:
    random = np.random.default_rng(seed)
    model = stem([convolution("output")], (32, 32), (16, 16, 16))
    smooth = np.linspace(0, 255, 32)[:, None, None] * np.linspace(0.3, 1, 32)[:, None] * np.ones(3)
    for image in (random.integers(0, 256, (1, 32, 32, 3)), smooth[None]):
        errors = [half_error(model, each, image.astype(np.uint8)) for each in (model, rewritten(QUARTERED_STEM, model))]
        assert errors[1] <= 1.2 * errors[0]


def test_a_graph_in_fp16_is_rewritten_too() -> None:
    model = to_fp16(stem([convolution("output")], (16, 16), (16, 8, 8))).model
    changed = rewritten(QUARTERED_STEM, model)
    assert operators(changed)[0] == "Cast" and "Mul" in operators(changed)
    assert_same_values(model, changed, picture(model), 2e-3)


def test_another_stem_stays_as_it_is() -> None:
    pool = node("MaxPool", ["p"], "q", kernel_shape=[2, 2], strides=[2, 2])
    small: dict[str, Any] = {"w": weights(5, 3, 3, 3), "b": weights(5, 1).reshape(-1)}
    others = [
        stem([convolution("output")], (7, 8), (5, 4, 4)),  # an odd side has no quarters
        stem([convolution("output", strides=[1, 1])], (8, 8), (5, 8, 8)),
        stem([convolution("output", dilations=[2, 2], pads=(2, 2, 2, 2))], (8, 8), (5, 4, 4)),
        stem([convolution("output", group=3)], (8, 8), (6, 4, 4), w=weights(6, 1, 3, 3)),
        stem([convolution("a"), pool, node("Mul", ["a", "q"], "output")], (8, 8), (3, 4, 4)),
        stem([convolution("a"), pool, node("Concat", ["q", "a", "q"], "output", axis=1)], (8, 8), (11, 4, 4), **small),
        stem(
            [
                convolution("a"),
                node("Abs", ["p"], "q"),
                node("ReduceMax", ["q"], "r"),
                node("Add", ["a", "r"], "output"),
            ],
            (8, 8),
            (5, 4, 4),
        ),
        stem(
            [convolution("a"), pool, node("Concat", ["q", "a"], "output", axis=1)],
            (8, 8),
            (8, 4, 4),
            factor=-FACTOR,
            **small,
        ),
    ]
    for model in others:
        assert QUARTERED_STEM.rewrite(model) is model


def test_the_compiler_moves_fewer_bytes_in_fewer_kernels() -> None:
    nodes = [
        convolution("a", bias=False),
        node("MaxPool", ["p"], "b2", kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["a", "b2"], "d", axis=1),
        node("Relu", ["d"], "output"),
    ]
    model = stem(nodes, (256, 512), (32, 128, 256), w=weights(29, 3, 3, 3))
    before, after = compiled(model), compiled(rewritten(QUARTERED_STEM, model))
    assert after.kernels < before.kernels
    assert after.bytes < 0.9 * before.bytes
