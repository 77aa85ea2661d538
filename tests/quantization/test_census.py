"""What the account of a graph says is read off the graph."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView
from rtseg.quantization.census import Census, census_of
from rtseg.quantization.fp16 import to_fp16
from tests.quantization.small_graphs import TARGETS, Sketch, quantized


def attention() -> Sketch:
    """A residual, then a gate over it, then a joining, a float convolution of few channels and a head."""
    sketch = Sketch()
    start = sketch.relu("start", sketch.conv("stem", "image"))
    total = sketch.relu("total", sketch.apply("Add", "sum", sketch.conv("branch", start), start))
    gate = sketch.apply("Sigmoid", "gate", sketch.conv("squeeze", sketch.global_pool("pooled", total), 16, 1))
    gated = sketch.apply("Mul", "gated", total, gate)
    joined = sketch.concat("joined", gated, sketch.pool("largest", total))
    few = sketch.conv("few", sketch.conv("behind", joined), 2)
    sketch.conv("head", few, 3, 1)
    return sketch


def names(census: Census) -> set[str]:
    return {name[1:] for name in census.int8}


def test_a_graph_without_pairs_is_fp32_throughout() -> None:
    model = attention().model("head")
    census = census_of(model)
    assert census.operators == {"int8": 0, "fp16": 0, "fp32": len(model.graph.node)}
    assert census.int8_share == 0


def test_a_convolution_counts_with_its_activation_and_the_sum_it_is_fused_with() -> None:
    census = census_of(quantized(attention().model("head")))
    assert names(census) == {"stem", "start", "branch", "sum", "total", "joined", "largest", "behind", "few"}


def test_an_operator_whose_result_stays_a_float_is_no_int8_operator() -> None:
    census = census_of(quantized(attention().model("head"), "onnxruntime"))
    assert not names(census) & {"gated", "pooled", "gate"}
    assert {"stem", "branch", "sum", "largest"} <= names(census)


def test_an_operator_that_reads_int8_and_floats_is_no_int8_operator() -> None:
    sketch = Sketch()
    gated = sketch.apply("Mul", "gated", sketch.conv("one", "image"), sketch.apply("Sigmoid", "gate", "image"))
    model = quantized(sketch.model(sketch.conv("head", sketch.conv("two", gated))), "onnxruntime")
    mul, quantize = (
        next(n for n in model.graph.node if gated in side(n)) for side in (lambda n: n.output, lambda n: n.input)
    )
    assert mul.input[0] == "one_dequantized" and quantize.op_type == "QuantizeLinear"
    assert names(census_of(model)) == {"one", "two"}


def test_a_convolution_whose_weight_alone_is_quantised_is_no_int8_operator() -> None:
    model = quantized(attention().model("head"))
    behind = next(node for node in model.graph.node if node.name == "/behind")
    behind.input[0] = "joined"
    assert "behind" not in names(census_of(model))


def test_what_only_reshapes_dequantised_values_is_int8_and_so_is_the_product_behind_it() -> None:
    sketch = Sketch()
    rows = sketch.reshape("rows", sketch.conv("one", "image"), 16, 8, 8)
    matrix = sketch.constant("matrix", np.eye(8, dtype=np.float32))
    product = sketch.apply("MatMul", "product", rows, matrix)
    back = sketch.reshape("back", product, 1, 16, 8, 8)
    census = census_of(quantized(sketch.model(sketch.conv("head", back)), "openvino"))
    assert names(census) == {"one", "rows", "product", "back", "head"}
    assert census.int8_share == 1


@pytest.mark.parametrize("target", TARGETS)
def test_the_work_adds_up_to_that_of_the_float_graph(target: str) -> None:
    model = attention().model("head")
    work = macs_by_node(GraphView(model))
    census = census_of(quantized(model, target))
    assert sum(census.macs.values()) == sum(work.values())
    assert census.macs["int8"] == sum(work[name] for name in census.int8 & work.keys())
    assert census.int8_share == pytest.approx(census.macs["int8"] / sum(work.values()))


@pytest.mark.parametrize("target", TARGETS)
def test_every_operator_but_the_pairs_is_counted_once(target: str) -> None:
    model = attention().model("head")
    assert sum(census_of(quantized(model, target)).operators.values()) == len(GraphView(model).nodes)


def test_an_operator_with_an_fp16_result_is_fp16_and_casts_are_not_counted() -> None:
    model = attention().model("head")
    half = to_fp16(model).model
    census = census_of(half)
    assert {node.op_type for node in half.graph.node} >= {"Cast"}
    assert census.operators == {"int8": 0, "fp16": len(model.graph.node), "fp32": 0}
    assert census.macs["fp16"] == sum(macs_by_node(GraphView(model)).values())


def test_an_operator_that_gives_integers_is_counted_with_fp32() -> None:
    sketch = attention()
    sketch.apply("ArgMax", "labels", "head", shape=(1, 1, 8, 8), axis=1)
    labels = sketch.apply("Cast", "floats", "labels", to=TensorProto.FLOAT)
    assert census_of(sketch.model(labels)).operators["fp32"] == len(attention().model("head").graph.node) + 1


def test_what_was_left_and_why_goes_into_the_manifest() -> None:
    model = attention().model("head")
    facts = census_of(model, {"/few": "few channels (16 to 2)"}).to_json()
    assert facts["left"] == {"/few": "few channels (16 to 2)"}
    assert set(facts) == {"operators", "macs", "left", "floating"}


def test_a_graph_without_work_has_no_share() -> None:
    sketch = Sketch()
    assert census_of(sketch.model(sketch.apply("Abs", "output", "image"))).int8_share == 0
    assert np.isfinite(census_of(sketch.model("output")).int8_share)


def test_an_operator_that_no_rule_covers_is_counted_by_its_type() -> None:
    sketch = attention()
    sketch.apply("Erf", "erf", "head")
    assert census_of(sketch.model("erf")).floating["Erf"] == 1
