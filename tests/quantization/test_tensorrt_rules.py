"""Where pairs lie for TensorRT: one rule, one test, one small graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from rtseg.errors import UnknownNameError
from rtseg.graphs.view import GraphView
from tests.quantization.small_graphs import Sketch, left, placed, quantized, read_in_int8


def constants_read_by(model: onnx.ModelProto, operator: str) -> list[str]:
    """Return how the operator reads its weight and bias: dequantised from int8, or float."""
    view = GraphView(model)
    node = next(node for node in view.nodes if node.name == f"/{operator}")
    producers = [view.producer(name) for name in node.input[1:]]
    return ["float" if producer is None else producer.op_type for producer in producers]


# Convolutions


def test_a_convolution_reads_its_input_and_its_weight_in_int8() -> None:
    sketch = Sketch()
    model = sketch.model(sketch.conv("one", "image"))
    placement = placed(model)
    assert read_in_int8(placement) == {"image > one"}
    assert placement.weights == {"/one"}


def test_a_weight_has_a_scale_for_each_output_channel_and_zero_points_of_zero() -> None:
    sketch = Sketch()
    model = sketch.model(sketch.conv("one", "image", 24))
    view = GraphView(quantized(model))
    pair = [node for node in view.nodes if "one.weight_scale" in node.input]
    assert [node.op_type for node in pair] == ["QuantizeLinear", "DequantizeLinear"]
    assert [onnx.helper.get_node_attr_value(node, "axis") for node in pair] == [0, 0]
    weight, scale, zero = (view.constant(name) for name in pair[0].input)
    assert np.array_equal(weight, GraphView(model).constant("one.weight"))
    np.testing.assert_allclose(scale, np.abs(weight).max((1, 2, 3)) / 127, rtol=1e-6)
    assert zero.dtype == np.int8 and zero.shape == (24,) and not zero.any()


def test_an_activation_has_one_scale_and_a_zero_point_of_int8_zero() -> None:
    sketch = Sketch()
    view = GraphView(quantized(sketch.model(sketch.conv("one", "image"))))
    assert view.constant("image_scale").shape == ()
    assert view.constant("image_zero_point").dtype == np.int8
    assert view.constant("image_zero_point") == 0


def test_a_bias_stays_in_floating_point() -> None:
    sketch = Sketch()
    model = sketch.model(sketch.conv("one", "image"))
    assert constants_read_by(quantized(model), "one") == ["DequantizeLinear", "float"]


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "Sigmoid"])
def test_nothing_lies_between_a_convolution_and_its_activation(activation: str) -> None:
    sketch = Sketch()
    active = sketch.apply(activation, "active", sketch.conv("one", "image"))
    placement = placed(sketch.model(sketch.conv("two", active)))
    assert read_in_int8(placement) == {"image > one", "active > two"}


def test_what_the_network_gives_is_never_quantised() -> None:
    sketch = Sketch()
    logits = sketch.conv("head", sketch.relu("active", sketch.conv("one", "image")), 11, 1)
    assert "head" not in placed(sketch.model(logits)).uses


def test_full_resolution_scores_are_never_quantised() -> None:
    sketch = Sketch()
    scores = sketch.resize("scores", sketch.conv("head", "image", 16, 1), 4)
    assert read_in_int8(placed(sketch.model(scores))) == {"image > head"}


def test_a_tensor_has_one_pair_however_many_read_it() -> None:
    sketch = Sketch()
    shared = sketch.relu("active", sketch.conv("one", "image"))
    total = sketch.apply("Add", "sum", sketch.conv("two", shared), sketch.conv("three", shared))
    model = quantized(sketch.model(sketch.conv("four", total)))
    quantizers = [node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert quantizers.count("active") == 1
    assert len(quantizers) == len(set(quantizers))


def test_operators_that_are_no_convolution_keep_reading_the_float_tensor() -> None:
    sketch = Sketch()
    shared = sketch.relu("active", sketch.conv("one", "image"))
    gate = sketch.apply("Sigmoid", "gate", sketch.global_pool("pooled", shared))
    gated = sketch.apply("Mul", "gated", shared, gate)
    placement = placed(sketch.model(sketch.apply("Add", "sum", gated, sketch.conv("two", shared))))
    assert read_in_int8(placement) == {"image > one", "active > two"}


# Convolutions that are left


def reason(sketch: Sketch, name: str) -> str:
    return left(placed(sketch.model(name))).get(name, "")


def test_a_depthwise_convolution_of_a_multiple_of_eight_channels_is_quantised() -> None:
    sketch = Sketch(24)
    assert reason(sketch, sketch.conv("depthwise", "image", 24, group=24)) == ""


def test_a_depthwise_convolution_of_an_odd_number_of_channels_is_left() -> None:
    sketch = Sketch(20)
    assert "depthwise of 20 channels" in reason(sketch, sketch.conv("depthwise", "image", 20, group=20))


def test_a_depthwise_convolution_along_one_side_is_left() -> None:
    sketch = Sketch(24)
    assert "kernel 3x1" in reason(sketch, sketch.conv("depthwise", "image", 24, (3, 1), group=24))


@pytest.mark.parametrize("outputs", [16, 32])
def test_a_grouped_convolution_is_left(outputs: int) -> None:
    sketch = Sketch(16)
    group = 4 if outputs == 16 else 16  # the second has two outputs for each input: not depthwise either
    assert "grouped" in reason(sketch, sketch.conv("grouped", "image", outputs, group=group))


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "quantised"),
    [
        (16, 16, 3, True),
        (3, 32, 3, True),  # a first layer
        (32, 3, 1, True),
        (12, 12, 3, False),
        (3, 20, 3, False),
        (8, 8, 3, False),
        (3, 16, (3, 1), False),
    ],
)
def test_few_channels_are_quantised_where_one_side_is_wide_aligned_and_the_kernel_square(
    inputs: int, outputs: int, kernel: int, quantised: bool
) -> None:
    sketch = Sketch(inputs)
    told = reason(sketch, sketch.conv("small", "image", outputs, kernel))
    assert told == ("" if quantised else f"few channels ({inputs} to {outputs})")


def test_a_squeeze_and_excitation_is_left() -> None:
    sketch = Sketch()
    squeezed = sketch.conv("squeeze", sketch.global_pool("pooled", "image"), 16, 1)
    gate = sketch.apply("Sigmoid", "gate", sketch.conv("excite", squeezed, 16, 1))
    gated = sketch.apply("Mul", "gated", "image", gate)
    placement = placed(sketch.model(sketch.conv("one", gated)))
    assert read_in_int8(placement) == {"gated > one"}
    assert set(left(placement)) == {"squeeze", "excite"}
    assert "no work to save" in left(placement)["squeeze"]


@pytest.mark.parametrize("sides", [(1, 8), (8, 1)])
def test_a_convolution_over_a_strip_is_left(sides: tuple[int, int]) -> None:
    sketch = Sketch(16, *sides)
    sketch.conv("strip", "image")
    wide = sketch.resize("wide", "strip", 2)
    placement = placed(sketch.model(sketch.conv("one", wide)))
    assert placement.weights == {"/one"}
    assert "a strip" in left(placement)["strip"]


def test_a_transposed_convolution_is_left() -> None:
    sketch = Sketch()
    weight = sketch.constant("up.weight", np.ones((16, 16, 2, 2), np.float32))
    up = sketch.apply("ConvTranspose", "up", "image", weight, shape=(1, 16, 16, 16), strides=[2, 2])
    placement = placed(sketch.model(sketch.conv("one", up)))
    assert read_in_int8(placement) == {"up > one"}
    assert "axis of its scales" in left(placement)["up"]


def test_a_matrix_product_is_left() -> None:
    sketch = Sketch()
    one = sketch.conv("one", "image")
    placement = placed(sketch.model(sketch.apply("MatMul", "product", one, sketch.conv("two", "image"))))
    assert read_in_int8(placement) == {"image > one", "image > two"}
    assert left(placement) == {"product": "a matrix product"}


def test_a_convolution_whose_weight_is_computed_is_left() -> None:
    sketch = Sketch(16, 3, 3)
    weight = sketch.apply("Concat", "kernels", *["image"] * 16, shape=(16, 16, 3, 3), axis=0)
    sketch.apply("Conv", "dynamic", "image", weight, shape=(1, 16, 3, 3), pads=[1, 1, 1, 1])
    placement = placed(sketch.model(sketch.conv("one", "dynamic")))
    assert left(placement) == {"dynamic": "its weight or bias is computed"}


# Residuals


def residual(*, behind: bool = True, projection: bool = False, activation: bool = False) -> Sketch:
    """one -> two, beside the input or a projection of it, added; a convolution behind where asked for."""
    sketch = Sketch()
    start = sketch.relu("start", sketch.conv("stem", "image"))
    branch = sketch.conv("two", sketch.relu("between", sketch.conv("one", start)))
    skip = sketch.conv("projection", start, 16, 1) if projection else start
    if activation:
        branch = sketch.relu("active", branch)
    total = sketch.relu("total", sketch.apply("Add", "sum", skip, branch))
    if behind:
        sketch.conv("behind", total)
    return sketch


def sums(sketch: Sketch, output: str) -> set[str]:
    return {reading for reading in read_in_int8(placed(sketch.model(output))) if reading.endswith("> sum")}


def test_of_a_residual_the_skip_branch_alone_carries_a_pair() -> None:
    assert sums(residual(), "behind") == {"start > sum"}


def test_of_two_convolutions_the_longer_branch_is_fused_and_the_projection_carries_the_pair() -> None:
    assert sums(residual(projection=True), "behind") == {"projection > sum"}


def test_a_sum_that_nothing_reads_in_int8_takes_its_skip_branch_in_floating_point() -> None:
    assert sums(residual(behind=False), "total") == set()


def test_a_chain_of_residuals_is_quantised_from_the_last_to_the_first() -> None:
    sketch = residual(behind=False)
    second = sketch.apply("Add", "second", sketch.conv("four", "total"), "total")
    third = sketch.apply("Add", "third", sketch.conv("six", second), second)
    model = sketch.model(sketch.conv("behind", third))
    adds = {r for r in read_in_int8(placed(model)) if r.split(" > ")[1] in ("sum", "second", "third")}
    assert adds == {"start > sum", "total > second", "second > third"}


def test_an_activation_before_the_sum_keeps_the_convolution_from_fusing() -> None:
    assert sums(residual(activation=True), "behind") == set()


def test_a_convolution_that_another_operator_reads_too_is_not_fused() -> None:
    sketch = Sketch()
    one = sketch.conv("one", "image")
    total = sketch.apply("Add", "sum", one, "image")
    sketch.apply("Sigmoid", "beside", one)
    assert "image > sum" not in read_in_int8(placed(sketch.model(sketch.conv("two", total))))


def test_a_sum_with_a_broadcast_term_gets_no_pair() -> None:
    sketch = Sketch()
    total = sketch.apply("Add", "sum", sketch.conv("one", "image"), sketch.global_pool("pooled", "image"))
    assert read_in_int8(placed(sketch.model(sketch.conv("two", total)))) == {"image > one", "sum > two"}


def test_a_sum_of_two_attention_products_gets_no_pair() -> None:
    sketch = Sketch()
    products = [
        sketch.apply(
            "Mul", f"product{n}", sketch.conv(f"value{n}", "image"), sketch.apply("Sigmoid", f"gate{n}", "image")
        )
        for n in (1, 2)
    ]
    placement = placed(sketch.model(sketch.conv("behind", sketch.apply("Add", "sum", *products))))
    assert read_in_int8(placement) == {"image > value1", "image > value2", "sum > behind"}


# Concat and pooling


def test_what_is_joined_shares_one_scale_with_the_result() -> None:
    sketch = Sketch()
    one, two = sketch.relu("a", sketch.conv("one", "image")), sketch.relu("b", sketch.conv("two", "image"))
    placement = placed(sketch.model(sketch.conv("three", sketch.concat("joined", one, two))))
    assert placement.shared == (frozenset({"a", "b", "joined"}),)
    assert {"a > joined", "b > joined", "joined > three"} <= read_in_int8(placement)


def test_one_scale_reaches_through_a_pool_and_a_second_joining() -> None:
    sketch = Sketch()
    inner = sketch.concat("inner", sketch.conv("one", "image"), sketch.pool("pooled", "image"))
    outer = sketch.concat("outer", inner, sketch.conv("two", "image"))
    view = GraphView(quantized(sketch.model(sketch.conv("three", outer))))
    scales = {
        name: float(view.constant(f"{name}_scale")) for name in ("image", "pooled", "one", "inner", "two", "outer")
    }
    assert len(set(scales.values())) == 1, scales


def test_a_joining_that_nothing_reads_in_int8_stays_in_floating_point() -> None:
    sketch = Sketch()
    joined = sketch.concat("joined", sketch.conv("one", "image"), sketch.conv("two", "image"))
    assert read_in_int8(placed(sketch.model(sketch.apply("Sigmoid", "gate", joined)))) == {"image > one", "image > two"}


def test_a_max_pool_shares_a_scale_with_what_it_reads() -> None:
    sketch = Sketch()
    pooled = sketch.pool("pooled", sketch.relu("active", sketch.conv("one", "image")))
    placement = placed(sketch.model(sketch.conv("two", pooled)))
    assert placement.shared == (frozenset({"active", "pooled"}),)
    assert "active > pooled" in read_in_int8(placement)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_a_pool_that_nothing_reads_in_int8_stays_in_floating_point(operator: str) -> None:
    sketch = Sketch()
    pooled = sketch.pool("pooled", sketch.relu("active", sketch.conv("one", "image")), operator)
    assert "active > pooled" not in read_in_int8(placed(sketch.model(pooled)))


def test_an_average_pool_before_a_convolution_reads_int8_with_a_scale_of_its_own() -> None:
    sketch = Sketch()
    pooled = sketch.pool("pooled", sketch.relu("active", sketch.conv("one", "image")), "AveragePool")
    placement = placed(sketch.model(sketch.conv("two", pooled)))
    assert "active > pooled" in read_in_int8(placement)
    assert placement.shared == ()


def test_a_resize_gets_no_pair_of_its_own() -> None:
    sketch = Sketch()
    active = sketch.relu("active", sketch.conv("one", "image"))
    placement = placed(sketch.model(sketch.conv("two", sketch.resize("larger", active))))
    assert read_in_int8(placement) == {"image > one", "larger > two"}


# Exclusion


@pytest.mark.parametrize("operator", ["sum", "joined", "pooled", "two"])
def test_an_excluded_operator_reads_no_int8(operator: str) -> None:
    sketch = Sketch()
    one = sketch.conv("one", "image")
    total = sketch.apply("Add", "sum", one, "image")
    joined = sketch.concat("joined", total, sketch.pool("pooled", "image"))
    model = sketch.model(sketch.conv("three", sketch.conv("two", joined)))
    assert any(reading.endswith(f"> {operator}") for reading in read_in_int8(placed(model)))
    without = placed(model, excluded=[operator])
    assert not any(reading.endswith(f"> {operator}") for reading in read_in_int8(without))
    assert f"/{operator}" not in without.weights


def test_an_excluded_convolution_is_told_with_the_others() -> None:
    sketch = Sketch()
    model = sketch.model(sketch.conv("two", sketch.conv("one", "image")))
    assert left(placed(model, excluded=["one"])) == {"one": "excluded"}


def test_a_target_that_is_none_is_refused_with_those_there_are() -> None:
    sketch = Sketch()
    with pytest.raises(UnknownNameError, match="tensorrt"):
        placed(sketch.model(sketch.conv("one", "image")), "tensorrtx")
