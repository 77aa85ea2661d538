from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.graphs.view import GraphView, Reader, attribute, node_name

SHAPE = (1, 2, 4, 6)


def graph(
    nodes: Sequence[onnx.NodeProto], result: Sequence[int] = SHAPE, kind: int = TensorProto.FLOAT, **constants: Any
) -> onnx.ModelProto:
    """From "image", of that type, to a float "output"."""
    ends = [
        helper.make_tensor_value_info("image", kind, SHAPE),
        helper.make_tensor_value_info("output", TensorProto.FLOAT, result),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def node(operator: str, sources: Sequence[str], result: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, sources, [result], name=f"/{result}", **attributes)


def scaled(constant: onnx.NodeProto | None = None, **constants: Any) -> GraphView:
    """image -> Relu -> Mul by "factor" -> output, and image + Relu beside it."""
    nodes = [
        node("Relu", ["image"], "positive"),
        node("Mul", ["positive", "factor"], "output"),
        node("Add", ["image", "positive"], "sum"),
    ]
    return GraphView(graph([*([constant] if constant else []), *nodes], **constants))


FACTOR = {"factor": np.array(2, np.float32)}


def test_the_ends_of_a_graph_are_named() -> None:
    view = scaled(**FACTOR)
    assert (view.input, view.output) == ("image", "output")


def test_a_tensor_knows_the_operator_that_computes_it() -> None:
    view = scaled(**FACTOR)
    made = view.producer("positive")
    assert made is not None and made.op_type == "Relu"
    assert view.producer("image") is None
    assert view.producer("factor") is None


def test_a_tensor_knows_who_reads_it_and_as_what() -> None:
    view = scaled(**FACTOR)
    mul, add = (entry for entry in view.nodes if entry.op_type in ("Mul", "Add"))
    assert view.readers("positive") == [Reader(mul, 0), Reader(add, 1)]
    assert view.readers("output") == []


def test_an_operator_that_reads_a_tensor_twice_is_two_readers() -> None:
    view = GraphView(graph([node("Add", ["image", "image"], "output")]))
    assert [reader.position for reader in view.readers("image")] == [0, 1]


def test_an_optional_input_that_is_left_out_is_no_tensor() -> None:
    sizes = np.array([1, 2, 8, 12], np.int64)
    view = GraphView(graph([node("Resize", ["image", "", "", "sizes"], "output")], (1, 2, 8, 12), sizes=sizes))
    assert view.readers("") == []
    assert view.producer("") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"value": numpy_helper.from_array(np.array(2, np.float32))}, np.array(2, np.float32)),
        ({"value_float": 2.0}, np.array(2, np.float32)),
        ({"value_floats": [2.0] * 6}, np.full(6, 2, np.float32)),
    ],
)
def test_a_constant_node_is_a_constant_like_an_initializer(value: dict[str, Any], expected: np.ndarray) -> None:
    view = scaled(helper.make_node("Constant", [], ["factor"], **value))
    assert view.is_constant("factor")
    assert view.producer("factor") is None
    assert view.shape("factor") == expected.shape
    assert view.element_type("factor") == TensorProto.FLOAT
    assert np.array_equal(view.constant("factor"), expected)
    assert "Constant" not in {entry.op_type for entry in view.nodes}


@pytest.mark.parametrize("value", [{"value_int": 3}, {"value_ints": [3]}])
def test_a_constant_node_of_integers_holds_int64(value: dict[str, Any]) -> None:
    axes = helper.make_node("Constant", [], ["axes"], **value)
    view = GraphView(graph([axes, node("Relu", ["image"], "output")]))
    assert view.element_type("axes") == TensorProto.INT64
    assert view.constant("axes").dtype == np.int64


def test_a_constants_value_is_a_copy() -> None:
    view = scaled(**FACTOR)
    value = view.constant("factor")
    value[...] = 7
    assert view.constant("factor") == 2


def test_what_is_computed_has_no_constant_value() -> None:
    with pytest.raises(KeyError):
        scaled(**FACTOR).constant("positive")


def test_shapes_and_types_within_the_graph_are_inferred() -> None:
    sizes = np.array([1, 2, 8, 12], np.int64)
    nodes = [
        node("Resize", ["image", "", "", "sizes"], "large"),
        node("MaxPool", ["large"], "output", kernel_shape=[2, 2]),
    ]
    view = GraphView(graph(nodes, (1, 2, 7, 11), sizes=sizes))
    assert view.shape("large") == (1, 2, 8, 12)
    assert view.element_type("large") == TensorProto.FLOAT
    assert view.shape("sizes") == (4,)


def test_a_tensor_nobody_knows_has_no_shape() -> None:
    with pytest.raises(KeyError):
        scaled(**FACTOR).shape("nowhere")


def test_activations_are_the_float_tensors_that_depend_on_the_picture_in_computing_order() -> None:
    assert scaled(**FACTOR).activations() == ("image", "positive", "output", "sum")


def test_what_depends_on_constants_only_is_no_activation() -> None:
    nodes = [node("Neg", ["factor"], "negative"), node("Mul", ["image", "negative"], "output")]
    assert GraphView(graph(nodes, **FACTOR)).activations() == ("image", "output")


def test_bytes_and_integers_are_no_activations() -> None:
    nodes = [
        node("Cast", ["image"], "pixels", to=TensorProto.FLOAT),
        node("ArgMax", ["pixels"], "labels", axis=1),
        node("Cast", ["labels"], "output", to=TensorProto.FLOAT),
    ]
    view = GraphView(graph(nodes, (1, 1, 4, 6), TensorProto.UINT8))
    assert view.activations() == ("pixels", "output")


def test_a_node_without_a_name_is_called_after_what_it_computes() -> None:
    assert node_name(helper.make_node("Relu", ["image"], ["output"])) == "output"
    assert node_name(node("Relu", ["image"], "output")) == "/output"


def test_an_attribute_that_is_not_written_has_its_default() -> None:
    pool = node("MaxPool", ["image"], "output", kernel_shape=[2, 2])
    assert list(attribute(pool, "kernel_shape", None)) == [2, 2]
    assert attribute(pool, "ceil_mode", 0) == 0
