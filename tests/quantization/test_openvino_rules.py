"""Where pairs lie for OpenVINO, and that its INT8 kernels really run there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from rtseg.calibration.table import TensorRange
from rtseg.graphs.view import GraphView
from rtseg.quantization.census import census_of
from rtseg.runners.openvino import OpenVinoRunner
from tests.quantization.small_graphs import (
    Sketch,
    images,
    left,
    measured_ranges,
    placed,
    quantized,
    ran,
    read_in_int8,
    relative_error,
)

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def reads(model: onnx.ModelProto, *excluded: str) -> set[str]:
    return read_in_int8(placed(model, "openvino", excluded))


def block() -> Sketch:
    """A residual, two pools, a joining, an upsampling and a head."""
    sketch = Sketch(16)
    stem = sketch.relu("stem_active", sketch.conv("stem", "image"))
    branch = sketch.conv("two", sketch.relu("one_active", sketch.conv("one", stem)))
    total = sketch.relu("total", sketch.apply("Add", "sum", branch, stem))
    average = sketch.pool("average", stem, "AveragePool")
    joined = sketch.concat("joined", total, sketch.pool("pooled", stem), average)
    up = sketch.resize("up", sketch.relu("three_active", sketch.conv("three", joined)))
    sketch.conv("head", sketch.conv("four", up), 11, 1)
    return sketch


def upsampled(side: int = 8) -> Sketch:
    """A convolution whose result is reshaped and multiplied with a constant matrix from the right, then the left."""
    sketch = Sketch(16, side, side)
    rows = sketch.reshape("rows", sketch.conv("taps", "image", 16, 1), 16, side, side)
    columns = sketch.constant("columns", np.tile(np.array([0.125, 0.875], np.float32), (side, side)))
    wide = sketch.apply("MatMul", "wide", rows, columns, shape=(16, side, 2 * side))
    stretch = sketch.constant("stretch", np.tile(np.array([[0.5], [0.25]], np.float32), (side, side)))
    tall = sketch.apply("MatMul", "tall", stretch, wide, shape=(16, 2 * side, 2 * side))
    sketch.conv("head", sketch.relu("active", sketch.reshape("map", tall, 1, 16, 2 * side, 2 * side)), 11, 1)
    return sketch


# What is computed


@pytest.mark.parametrize(("outputs", "group"), [(2, 1), (12, 1), (16, 4), (16, 16)])
def test_a_convolution_of_any_channels_and_groups_reads_int8(outputs: int, group: int) -> None:
    sketch = Sketch(16)
    model = sketch.model(sketch.conv("head", sketch.conv("one", "image", outputs, group=group), 11, 1))
    assert placed(model, "openvino").weights == {"/one", "/head"}


def test_a_convolution_over_a_point_is_no_work_to_save() -> None:
    sketch = Sketch()
    model = sketch.model(sketch.conv("one", sketch.global_pool("pooled", "image"), kernel=1))
    assert left(placed(model, "openvino")) == {"one": "its map is a point or a strip: no work to save"}


def test_the_head_reads_int8_and_gives_floating_point() -> None:
    placement = placed(block().model("head"), "openvino")
    assert "/head" in placement.weights
    assert "head" not in placement.uses


def test_weights_and_biases_stay_float_behind_their_pairs() -> None:
    model = block().model("head")
    view = GraphView(quantized(model, "openvino"))
    assert np.array_equal(view.constant("one.weight"), GraphView(model).constant("one.weight"))
    assert view.constant("one.weight_zero_point").dtype == np.int8
    assert "one.bias" in {name for node in view.nodes for name in node.input}


def test_what_is_never_negative_has_255_steps_and_other_tensors_254_around_128() -> None:
    model = block().model("head")
    ranges = {name: TensorRange(2.0, 0.0 if "active" in name else -2.0, 2.0) for name in GraphView(model).activations()}
    view = GraphView(quantized(model, "openvino", ranges=ranges))
    for name, steps, zero in (("one_active", 255, 0), ("two", 127, 128)):
        assert float(view.constant(f"{name}_scale")) == pytest.approx(2 / steps)
        assert (view.constant(f"{name}_zero_point").dtype, int(view.constant(f"{name}_zero_point"))) == (np.uint8, zero)


# What lies between


def test_both_branches_of_a_residual_are_quantised() -> None:
    assert {"two > sum", "stem_active > sum"} <= reads(block().model("head"))


def test_pools_joinings_and_upsampling_read_and_give_int8() -> None:
    assert reads(block().model("head")) >= {
        "stem_active > pooled",
        "stem_active > average",
        "pooled > joined",
        "average > joined",
        "total > joined",
        "joined > three",
        "three_active > up",
        "up > four",
    }


def test_what_only_moves_values_shares_a_scale() -> None:
    shared = placed(block().model("head"), "openvino").shared
    assert set(shared) == {frozenset(["total", "pooled", "average", "joined"]), frozenset(["stem_active", "pooled"])}


def test_an_operator_that_is_given_a_float_is_left_in_floating_point() -> None:
    sketch = Sketch()
    total = sketch.apply("Add", "sum", sketch.conv("one", "image"), sketch.apply("Sigmoid", "gate", "image"))
    model = sketch.model(sketch.conv("head", sketch.conv("two", total)))
    assert reads(model) == {"image > one", "one > sum", "sum > two", "two > head"}
    assert "gate" not in placed(model, "openvino").uses


def test_what_leads_to_no_convolution_stays_in_floating_point() -> None:
    sketch = Sketch()
    total = sketch.apply("Add", "sum", sketch.conv("one", "image"), sketch.conv("two", "image"))
    assert reads(sketch.model(total)) == {"image > one", "image > two"}


def test_all_readers_of_an_int8_result_read_it_in_int8() -> None:
    sketch = Sketch()
    active = sketch.relu("active", sketch.conv("one", "image"))
    gated = sketch.apply("Mul", "gated", active, sketch.apply("Sigmoid", "gate", active))
    model = sketch.model(sketch.conv("head", gated))
    assert {"active > gated", "active > gate"} <= reads(model)


@pytest.mark.parametrize("operator", ["sum", "pooled", "average", "joined", "up", "two", "three", "head"])
def test_an_excluded_operator_reads_no_int8(operator: str) -> None:
    assert not {r for r in reads(block().model("head"), operator) if r.endswith(f"> {operator}")}


# Matrix products


def test_a_product_with_a_constant_matrix_reads_both_in_int8_through_what_only_reshapes() -> None:
    placement = placed(upsampled().model("head"), "openvino")
    assert placement.products == {"/wide", "/tall"}
    assert placement.multiplying == {"/taps", "/wide", "/tall", "/head"}
    assert read_in_int8(placement) == {
        "image > taps",
        "taps > rows",
        "columns > wide",
        "stretch > tall",
        "wide > tall",
        "tall > map",
        "active > head",
    }


def test_a_constant_of_eighths_keeps_its_values() -> None:
    view = GraphView(quantized(upsampled().model("head"), "openvino"))
    for name in ("columns", "stretch"):
        steps = view.constant(name) / view.constant(f"{name}_scale")
        assert np.array_equal(steps, np.rint(steps)) and np.abs(steps).max() <= 127
        assert view.constant(f"{name}_zero_point").dtype == np.int8


def test_a_product_that_is_hardly_any_work_stays_in_floating_point() -> None:
    sketch = Sketch(64)
    small = sketch.apply(
        "MatMul", "small", "image", sketch.constant("mean", np.full((8, 1), 0.125, np.float32)), shape=(1, 64, 8, 1)
    )
    wide = sketch.apply("Add", "sum", sketch.conv("one", "image", 64), small)
    placement = placed(sketch.model(sketch.conv("head", sketch.conv("two", wide, 64), 11, 1)), "openvino")
    assert left(placement) == {"small": "a matrix product: small here"}
    assert not placement.products


def test_a_product_of_two_computed_matrices_stays_in_floating_point() -> None:
    sketch = Sketch()
    product = sketch.apply("MatMul", "product", sketch.conv("one", "image", 16, 1), sketch.conv("two", "image", 16, 1))
    model = sketch.model(sketch.conv("head", product))
    assert left(placed(model, "openvino")) == {"product": "not a product of a tensor and a constant"}


def test_an_excluded_product_reads_what_it_read() -> None:
    model = upsampled().model("head")
    view = GraphView(quantized(model, "openvino", excluded=["wide"]))
    inputs = {node.name: list(node.input) for node in view.nodes}
    assert inputs["/wide"] == ["rows", "columns"]
    assert inputs["/rows"][0] == "taps"
    assert left(placed(model, "openvino", ["wide"])) == {"wide": "excluded"}


def test_a_product_behind_an_excluded_reshaping_reads_int8_from_there() -> None:
    model = upsampled().model("head")
    result = quantized(model, "openvino", excluded=["rows"])
    assert {"rows > wide", "wide > tall"} <= reads(model, "rows")
    assert "taps > rows" not in reads(model, "rows")
    assert {"/wide", "/tall"} <= census_of(result).int8


def test_a_reshaped_tensor_that_is_read_twice_is_quantised_for_its_one_int8_reader() -> None:
    sketch = Sketch()
    rows = sketch.reshape("rows", sketch.apply("Sigmoid", "gate", "image"), 16, 8, 8)
    matrix = sketch.constant("matrix", np.eye(8, dtype=np.float32))
    product = sketch.apply("MatMul", "product", rows, matrix)
    both = sketch.apply("Add", "both", product, sketch.apply("Exp", "beside", rows))
    model = sketch.model(sketch.conv("head", sketch.reshape("back", both, 1, 16, 8, 8), 11, 1))
    assert reads(model) >= {"rows > product", "matrix > product"}
    assert not {"gate > rows", "rows > beside"} & reads(model)


def test_a_joining_over_a_reshaped_tensor_reads_it_in_int8_where_it_was_made() -> None:
    sketch = Sketch()
    active = sketch.relu("active", sketch.conv("one", "image"))
    turned = sketch.apply("Transpose", "turned", active, perm=[0, 1, 3, 2])
    joined = sketch.concat("joined", turned, sketch.conv("two", "image"))
    placement = placed(sketch.model(sketch.conv("head", joined, 11, 1)), "openvino")
    assert {"active > turned", "two > joined", "joined > head"} <= read_in_int8(placement)
    assert placement.shared == (frozenset(["active", "two", "joined"]),)


def test_a_joining_with_the_constant_of_a_product_stays_in_floating_point() -> None:
    sketch = Sketch()
    matrix = sketch.constant("matrix", np.ones((1, 16, 8, 8), np.float32))
    joined = sketch.concat("joined", sketch.apply("MatMul", "product", "image", matrix), matrix)
    model = sketch.model(sketch.conv("head", joined, 11, 1))
    assert "matrix > joined" not in reads(model) and not placed(model, "openvino").shared
    quantized(model, "openvino")  # the constant needs no range of a table


# What OpenVINO makes of it


@needs_openvino
@pytest.mark.parametrize("sketch", [block(), upsampled(32)], ids=["block", "upsampled"])
def test_openvino_computes_every_convolution_and_every_product_in_int8(sketch: Sketch, tmp_path: Path) -> None:
    model = sketch.model("head")
    onnx.save(quantized(model, "openvino"), tmp_path / "int8.onnx")
    with OpenVinoRunner(tmp_path / "int8.onnx", threads=1) as runner:
        nodes = [node.get_rt_info() for node in runner._live().get_runtime_model().get_ordered_ops()]
    kernels = [(info["layerType"].astype(str), info["primitiveType"].astype(str)) for info in nodes]
    multiplying = [name for kind, name in kernels if kind in ("Convolution", "MatMul", "FullyConnected")]
    assert len(multiplying) == len(placed(model, "openvino").multiplying)
    assert {name.rpartition("_")[2].upper() for name in multiplying} == {"I8"}


@needs_openvino
@pytest.mark.parametrize("sketch", [block(), upsampled(32)], ids=["block", "upsampled"])
def test_openvino_gives_what_the_file_says(sketch: Sketch, tmp_path: Path) -> None:
    model = sketch.model("head")
    [image] = images(model)
    int8 = quantized(model, "openvino", ranges=measured_ranges(model, [image]))
    onnx.save(int8, tmp_path / "int8.onnx")
    with OpenVinoRunner(tmp_path / "int8.onnx", threads=1) as runner:
        given = runner.infer(image)
    expected = ran(int8, image, optimized=False)
    assert relative_error(given, expected) < 0.01
    assert relative_error(expected, ran(model, image)) < 0.05
