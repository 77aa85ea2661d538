"""Where pairs lie for ONNX Runtime, and that its INT8 kernels really run there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from rtseg.calibration.table import TensorRange
from rtseg.graphs.view import GraphView
from tests.quantization.small_graphs import Sketch, left, placed, quantized, read_in_int8, session


def reads(model: onnx.ModelProto, *excluded: str) -> set[str]:
    return read_in_int8(placed(model, "onnxruntime", excluded))


def operators_run(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """Return the operators that are left when ONNX Runtime has optimised the graph."""
    session(model, written=str(folder / "optimized.onnx"))
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def block() -> Sketch:
    """A residual, a pool, a joining and a head."""
    sketch = Sketch(16)
    stem = sketch.relu("stem_active", sketch.conv("stem", "image"))
    branch = sketch.conv("two", sketch.relu("one_active", sketch.conv("one", stem)))
    total = sketch.relu("total", sketch.apply("Add", "sum", branch, stem))
    joined = sketch.concat("joined", total, sketch.pool("pooled", stem))
    sketch.conv("head", sketch.relu("three_active", sketch.conv("three", joined)), 11, 1)
    return sketch


def test_a_result_between_two_convolutions_is_quantised_behind_its_activation() -> None:
    sketch = Sketch()
    active = sketch.relu("active", sketch.conv("one", "image"))
    model = sketch.model(sketch.conv("head", sketch.conv("two", active)))
    assert reads(model) == {"image > one", "active > two", "two > head"}


def test_both_branches_of_a_residual_are_quantised() -> None:
    assert {"two > sum", "stem_active > sum"} <= reads(block().model("head"))


def test_the_head_and_what_it_gives_stay_in_floating_point() -> None:
    placement = placed(block().model("head"), "onnxruntime")
    assert left(placement) == {"head": "the head: its result stays in floating point"}
    assert "head" not in placement.uses


def test_weights_and_biases_are_stored_as_integers() -> None:
    model = block().model("head")
    view = GraphView(quantized(model, "onnxruntime"))
    assert not view.is_constant("one.weight")
    assert view.constant("one.weight_quantized").dtype == np.int8
    bias, step = view.constant("/one_bias_quantized"), view.constant("/one_bias_scale")
    assert bias.dtype == np.int32
    assert np.array_equal(step, view.constant("stem_active_scale") * view.constant("one.weight_scale"))
    np.testing.assert_allclose(bias * step, GraphView(model).constant("one.bias"), atol=float(step.max()) / 2)


def test_the_bias_of_a_channel_with_hardly_any_weights_does_not_overflow() -> None:
    sketch = Sketch()
    model = sketch.model(sketch.conv("two", sketch.conv("one", "image", faint_channel=True)))
    ranges = {name: TensorRange(1e-3, -1e-3, 1e-3) for name in ("image", "one", "two")}
    view = GraphView(quantized(model, "onnxruntime", ranges=ranges))
    stored = view.constant("/one_bias_quantized").astype(np.float64) * view.constant("/one_bias_scale")
    np.testing.assert_allclose(stored, GraphView(model).constant("one.bias"), rtol=1e-5, atol=1e-7)


def test_activations_are_uint8_from_zero_where_nothing_is_negative_and_around_128_elsewhere() -> None:
    view = GraphView(quantized(block().model("head"), "onnxruntime"))
    for name, zero in (("image", 128), ("two", 128), ("one_active", 0), ("three_active", 0)):
        value = view.constant(f"{name}_zero_point")
        assert (value.dtype, int(value)) == (np.uint8, zero), name


def test_what_is_never_negative_has_255_steps() -> None:
    model = block().model("head")
    ranges = {name: TensorRange(2.0, 0.0, 2.0) for name in GraphView(model).activations()}
    view = GraphView(quantized(model, "onnxruntime", ranges=ranges))
    assert float(view.constant("one_active_scale")) == pytest.approx(2 / 255)


def test_tensors_of_one_scale_have_one_zero_point() -> None:
    sketch = Sketch()
    signed = sketch.conv("one", "image")
    joined = sketch.concat("joined", signed, sketch.relu("active", sketch.conv("two", "image")))
    view = GraphView(quantized(sketch.model(sketch.conv("head", sketch.conv("three", joined))), "onnxruntime"))
    assert {int(view.constant(f"{name}_zero_point")) for name in ("one", "active", "joined")} == {128}
    assert len({float(view.constant(f"{name}_scale")) for name in ("one", "active", "joined")}) == 1


def test_a_float_operator_reads_the_float_tensor_where_floats_made_it() -> None:
    sketch = Sketch()
    gate = sketch.apply("Sigmoid", "gate", "image")
    gated = sketch.apply("Mul", "gated", sketch.conv("one", "image"), gate)
    sketch.apply("Tanh", "beside", gated)
    model = sketch.model(sketch.conv("head", sketch.conv("two", gated)))
    assert reads(model) == {"image > one", "one > gated", "gated > two", "two > head"}


def test_an_average_pool_is_left_as_its_int8_kernel_is_slow() -> None:
    sketch = Sketch()
    pooled = sketch.pool("pooled", sketch.apply("Sigmoid", "gate", "image"), "AveragePool")
    assert "gate > pooled" not in reads(sketch.model(sketch.conv("head", sketch.conv("one", pooled))))


def test_a_pool_over_the_picture_stays_in_floating_point() -> None:
    sketch = Sketch(16)
    joined = sketch.concat("joined", sketch.conv("one", "image"), sketch.conv("two", sketch.pool("pooled", "image")))
    assert "image > pooled" not in reads(sketch.model(sketch.conv("head", sketch.conv("three", joined))))


def test_matrix_products_and_transposed_convolutions_are_told_as_left() -> None:
    sketch = Sketch()
    weight = sketch.constant("up.weight", np.ones((16, 16, 2, 2), np.float32))
    up = sketch.apply("ConvTranspose", "up", "image", weight, shape=(1, 16, 16, 16), strides=[2, 2])
    product = sketch.apply("MatMul", "product", up, sketch.conv("one", up))
    assert set(left(placed(sketch.model(product), "onnxruntime"))) >= {"up", "product"}


@pytest.mark.parametrize("operator", ["sum", "pooled", "joined", "two", "three", "head"])
def test_an_excluded_operator_reads_no_int8(operator: str) -> None:
    assert not {r for r in reads(block().model("head"), operator) if r.endswith(f"> {operator}")}


def test_a_convolution_that_an_excluded_operator_reads_keeps_its_exact_weight() -> None:
    # Its result has to be a float, and ONNX Runtime has no kernel from INT8 to floats.
    placement = placed(block().model("head"), "onnxruntime", ["two"])
    assert placement.weights == {"/stem", "/three"}
    assert left(placement)["one"] == "an excluded operator reads its result"


def test_onnx_runtime_runs_every_quantised_convolution_in_int8(tmp_path: Path) -> None:
    model = block().model("head")
    run = operators_run(quantized(model, "onnxruntime"), tmp_path)
    assert run["QLinearConv"] == len(placed(model, "onnxruntime").weights) == 4
    assert run["Conv"] + run["FusedConv"] == 1  # the head
    assert run["QLinearAdd"] == 1
    assert run["QLinearConcat"] == 1
    assert run["Relu"] == 0


def test_what_is_placed_for_tensorrt_runs_in_floats_there(tmp_path: Path) -> None:
    assert operators_run(quantized(block().model("head")), tmp_path)["QLinearConv"] == 0
