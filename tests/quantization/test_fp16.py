"""FP16 from FP32: each rule on a graph made for it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import QuantizationError
from rtseg.quantization.fp16 import to_fp16
from rtseg.quantization.fp16_rules import MAX_MAGNITUDE, MAX_SUMMED
from tests.quantization.fp16_graphs import (
    FLOAT,
    HALF,
    SHAPE,
    graph,
    node,
    operators,
    picture,
    ran,
    require_sound,
    types,
    weights,
)

RELU = [node("Relu", ["image"], "output")]
CONVOLUTIONS = [
    node("Conv", ["image", "w1", "b1"], "first", kernel_shape=[1, 1]),
    node("Relu", ["first"], "second"),
    node("Conv", ["second", "w2"], "output", kernel_shape=[1, 1]),
]


def convolutions(**changed: object) -> object:
    constants = {"w1": weights(4, 4, 1, 1), "b1": weights(4), "w2": weights(4, 4, 1, 1, seed=2), **changed}
    return graph(CONVOLUTIONS, **constants)


def test_all_between_the_ends_is_fp16_and_the_ends_keep_their_types() -> None:
    source = convolutions()
    half = to_fp16(source)
    require_sound(half, source)
    assert operators(half.model) == ["Cast", "Conv", "Relu", "Conv", "Cast"]
    assert types(half.model)["/first"] == [HALF] * 4
    assert {entry.data_type for entry in half.model.graph.initializer} == {HALF}
    np.testing.assert_allclose(ran(half.model, picture()), ran(source, picture()), atol=5e-3)


def test_the_model_given_is_left_alone() -> None:
    source = convolutions()
    before = source.SerializeToString()
    to_fp16(source, keep=["/second"])
    assert source.SerializeToString() == before


def test_the_same_model_gives_the_same_bytes() -> None:
    first, second = (to_fp16(convolutions()).model.SerializeToString() for _ in range(2))
    assert first == second


def test_a_node_that_is_kept_computes_in_fp32_between_casts() -> None:
    source = convolutions()
    half = to_fp16(source, keep=["/second"])
    require_sound(half, source)
    assert operators(half.model) == ["Cast", "Conv", "Cast", "Relu", "Cast", "Conv", "Cast"]
    assert types(half.model)["/second"] == [FLOAT, FLOAT]
    assert half.reasons == {"/second": "asked for"}


def test_the_first_and_last_node_kept_need_no_cast_at_the_ends() -> None:
    half = to_fp16(convolutions(), keep=["/first", "/output"])
    assert operators(half.model) == ["Conv", "Cast", "Relu", "Cast", "Conv"]


def test_a_tensor_that_several_kept_nodes_read_is_cast_once() -> None:
    source = graph(
        [
            node("Relu", ["image"], "a"),
            node("Sigmoid", ["a"], "b"),
            node("Tanh", ["a"], "c"),
            node("Add", ["b", "c"], "d"),
            node("Mul", ["d", "a"], "output"),
        ]
    )
    half = to_fp16(source, keep=["/b", "/c", "/d"])
    require_sound(half, source)
    assert operators(half.model) == ["Cast", "Relu", "Cast", "Sigmoid", "Tanh", "Add", "Cast", "Mul", "Cast"]


def test_a_constant_of_an_fp16_and_an_fp32_node_is_there_twice() -> None:
    source = graph([node("Mul", ["image", "c"], "a"), node("Add", ["a", "c"], "output")], c=np.float32(0.1))
    half = to_fp16(source, keep=["/a"])
    require_sound(half, source)
    assert sorted(entry.data_type for entry in half.model.graph.initializer) == [FLOAT, HALF]


def test_constant_nodes_become_initializers_of_the_type_that_is_read() -> None:
    bounds = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.float32)))
        for name, value in (("low", 0), ("high", 6))
    ]
    source = graph([*bounds, node("Clip", ["image", "low", "high"], "output")])
    half = to_fp16(source)
    require_sound(half, source)
    assert operators(half.model) == ["Cast", "Clip", "Cast"]
    assert types(half.model)["/output"] == [HALF] * 4


def test_an_output_that_is_read_inside_too_is_cast_once() -> None:
    source = graph([node("Relu", ["image"], "output"), node("Relu", ["output"], "unread")])
    half = to_fp16(source)
    assert operators(half.model) == ["Cast", "Relu", "Cast", "Relu"]
    assert half.model.graph.node[3].input[0] == half.model.graph.node[2].input[0]


@pytest.mark.parametrize("inputs", [["image", "", "", "sizes"], ["image", "", "scales"]])
def test_sizes_and_scales_of_a_resize_stay_as_they_are(inputs: list[str]) -> None:
    resize = node("Resize", inputs, "a", mode="linear")
    values = {"sizes": np.array([1, 4, 16, 16]), "scales": np.array([1, 1, 2, 2], np.float32)}
    source = graph([resize, node("Relu", ["a"], "output")], result=(1, 4, 16, 16), **{inputs[-1]: values[inputs[-1]]})
    half = to_fp16(source)
    require_sound(half, source)
    assert types(half.model)["/a"] == [HALF, {"sizes": TensorProto.INT64, "scales": FLOAT}[inputs[-1]], HALF]
    np.testing.assert_allclose(ran(half.model, picture()), ran(source, picture()), atol=5e-3)


def test_an_operator_that_has_no_float16_stays_fp32() -> None:
    source = graph([node("Relu", ["image"], "a"), node("Celu", ["a"], "output")], shape=(1, 4))
    half = to_fp16(source)
    require_sound(half, source)
    assert half.reasons == {"/output": "no float16 in opset 17"}


def test_batch_normalisation_keeps_what_it_computes_though_fp16_lacks_its_parameters() -> None:
    values = {"s": [1e-3, 2, 1, 300], "b": [1, 2, 3, 4], "m": [0, 1, -2, 9e4], "v": [1e-9, 1, 1e-3, 9e6]}
    source = graph(
        [node("BatchNormalization", ["image", *values], "output", epsilon=1e-8)],
        **{name: np.array(value, np.float32) for name, value in values.items()},
    )
    half = to_fp16(source)
    require_sound(half, source)
    assert half.precisions == {"/output": "fp16"}
    expected = ran(source, picture())
    np.testing.assert_allclose(ran(half.model, picture()), expected, atol=2e-3 * float(np.abs(expected).max()))


def test_a_mask_is_cast_to_fp16_directly() -> None:
    source = graph(
        [
            node("Greater", ["image", "zero"], "a"),
            node("Cast", ["a"], "mask", to=FLOAT),
            node("Mul", ["image", "mask"], "output"),
        ],
        zero=np.float32(0),
    )
    half = to_fp16(source)
    require_sound(half, source)
    assert operators(half.model) == ["Cast", "Greater", "Cast", "Mul", "Cast"]
    assert types(half.model)["/mask"] == [TensorProto.BOOL, HALF]


def test_a_mask_read_in_both_types_is_cast_twice_from_its_source() -> None:
    source = graph(
        [
            node("Greater", ["image", "zero"], "a"),
            node("Cast", ["a"], "mask", to=FLOAT),
            node("Mul", ["image", "mask"], "b"),
            node("Add", ["b", "mask"], "output"),
        ],
        zero=np.float32(0),
    )
    half = to_fp16(source, keep=["/output"])
    require_sound(half, source)
    kinds = types(half.model)
    assert kinds["/mask"] == [TensorProto.BOOL, FLOAT]
    assert kinds["mask_to_fp16"] == [TensorProto.BOOL, HALF]


# Range


def test_a_constant_beyond_fp16_keeps_its_operator_in_fp32() -> None:
    source = convolutions(w1=np.full((4, 4, 1, 1), 1e5, np.float32))
    half = to_fp16(source)
    require_sound(half, source)
    assert half.reasons == {"/first": "a constant beyond FP16"}
    assert half.precisions["/second"] == "fp16"


def test_an_infinite_constant_is_one_in_fp16_too() -> None:
    source = graph([node("Clip", ["image", "low", "high"], "output")], low=np.float32(0), high=np.float32(np.inf))
    assert to_fp16(source).reasons == {}


def test_large_activations_stay_fp32_with_what_makes_and_what_reads_them() -> None:
    source = convolutions()
    half = to_fp16(source, ranges={"first": 2 * MAX_MAGNITUDE, "second": MAX_MAGNITUDE, "of another graph": np.inf})
    require_sound(half, source)
    assert half.reasons == {"/first": "values of up to 6.55e+04", "/second": "values of up to 6.55e+04"}
    assert half.precisions["/output"] == "fp16"


def test_a_range_that_is_no_number_is_taken_for_large() -> None:
    assert set(to_fp16(convolutions(), ranges={"first": np.nan}).reasons) == {"/first", "/second"}


def test_weights_too_small_for_fp16_are_counted() -> None:
    tiny = np.array([1.0, 1e-5, 1e-9, 0.0] * 4, np.float32).reshape(4, 4, 1, 1)
    half = to_fp16(convolutions(w1=tiny))
    assert half.subnormal == {"w1": 4}
    assert half.zero == {"w1": 4}
    assert "4 weights subnormal in FP16, 4 weights zero in FP16" in half.account()


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("operator", ["GlobalAveragePool", "ReduceMean"])
def test_a_mean_over_more_values_than_fp16_counts_stays_fp32(operator: str, side: int) -> None:
    settings = {"axes": [2, 3]} if operator == "ReduceMean" else {}
    source = graph(
        [node(operator, ["image"], "a", **settings), node("Relu", ["a"], "output")],
        (1, 4, side, side),
        result=(1, 4, 1, 1),
    )
    half = to_fp16(source)
    require_sound(half, source)
    assert half.reasons == ({"/a": "sums over many values"} if side**2 > MAX_SUMMED else {})


def test_long_softmaxes_stay_fp32_and_small_pools_do_not() -> None:
    source = graph(
        [
            node("AveragePool", ["image"], "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Softmax", ["a"], "output", axis=3),
        ],
        (1, 1, 3, 4096),
    )
    assert to_fp16(source).reasons == {"/output": "sums over many values"}


# The ends of a `labels` graph

NORMALISED = [
    node("Transpose", ["image"], "a", perm=[0, 3, 1, 2]),
    node("Cast", ["a"], "b", to=FLOAT),
    node("Mul", ["b", "factor"], "c"),
    node("Sub", ["c", "offset"], "d"),
    node("Conv", ["d", "w"], "e", kernel_shape=[1, 1]),
    node("ArgMax", ["e"], "f", axis=1, keepdims=0),
    node("Cast", ["f"], "output", to=TensorProto.UINT8),
]
BYTES = (TensorProto.UINT8, TensorProto.UINT8)


def test_a_picture_is_normalised_in_fp32_up_to_the_first_convolution() -> None:
    source = graph(
        NORMALISED,
        (1, 8, 8, 3),
        result=(1, 8, 8),
        kinds=BYTES,
        factor=np.float32(1 / 255 / 0.225),
        offset=np.float32(0.485 / 0.225),
        w=weights(5, 3, 1, 1),
    )
    half = to_fp16(source)
    require_sound(half, source)
    assert operators(half.model) == ["Transpose", "Cast", "Mul", "Sub", "Cast", "Conv", "ArgMax", "Cast"]
    assert half.reasons == {"/c": "normalises the picture", "/d": "normalises the picture"}
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    assert np.mean(ran(half.model, pixels) == ran(source, pixels)) > 0.98


def test_bytes_that_a_convolution_reads_are_cast_to_fp16_at_once() -> None:
    nodes = [
        node("Transpose", ["image"], "a", perm=[0, 3, 1, 2]),
        node("Cast", ["a"], "d", to=FLOAT),
        *NORMALISED[4:],
    ]
    source = graph(nodes, (1, 8, 8, 3), result=(1, 8, 8), kinds=BYTES, w=weights(5, 3, 1, 1))
    half = to_fp16(source)
    require_sound(half, source)
    assert half.casts == 0
    assert types(half.model)["/d"] == [TensorProto.UINT8, HALF]


def test_scores_are_enlarged_after_the_cast_and_not_before() -> None:
    nodes = [node("Relu", ["image"], "a"), node("Resize", ["a", "", "", "sizes"], "output", mode="linear")]
    source = graph(nodes, result=(1, 4, 64, 64), sizes=np.array([1, 4, 64, 64]))
    half = to_fp16(source)
    require_sound(half, source)
    assert operators(half.model) == ["Cast", "Relu", "Cast", "Resize"]


# What is refused


def test_a_name_that_no_node_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(QuantizationError, match=r"no node of the graph has that name; got '/secnd'\. Try: use /second"):
        to_fp16(convolutions(), keep=["/secnd"])


def test_a_graph_in_which_nothing_would_change_is_refused() -> None:
    with pytest.raises(QuantizationError, match="no operator would become FP16"):
        to_fp16(graph(RELU), keep=["/output"])


def test_an_fp16_graph_is_refused() -> None:
    with pytest.raises(QuantizationError, match="the graph is FP16 already"):
        to_fp16(to_fp16(convolutions()).model)


def test_a_graph_within_the_graph_is_refused() -> None:
    branch = helper.make_graph(
        [node("Relu", ["image"], "x")], "b", [], [helper.make_tensor_value_info("x", FLOAT, SHAPE)]
    )
    chosen = helper.make_node("If", ["yes"], ["output"], name="/if", then_branch=branch, else_branch=branch)
    with pytest.raises(QuantizationError, match="a subgraph cannot become FP16; got /if"):
        to_fp16(graph([chosen], yes=np.array(True)))
