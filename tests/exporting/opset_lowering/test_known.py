from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.exporting.opset_lowering.known import Known, inferable


def normalised() -> onnx.ModelProto:
    """A group normalisation between two operators, of opset 21."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("GroupNormalization", ["a", "scale", "scale"], ["b"], num_groups=2),
        helper.make_node("Transpose", ["b"], ["y"], perm=[0, 2, 1]),
        helper.make_node("Cast", ["wide"], ["z"], to=TensorProto.INT64),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 6]),
        helper.make_tensor_value_info("wide", TensorProto.FLOAT, [1, "width"]),
    ]
    outputs = [onnx.ValueInfoProto(name="y"), onnx.ValueInfoProto(name="z")]
    scale = numpy_helper.from_array(np.ones(4, np.float32), "scale")
    graph = helper.make_graph(nodes, "g", inputs, outputs, [scale])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_shapes_after_a_group_normalization_are_known() -> None:
    known = Known(normalised())
    assert (known.shape("b"), known.shape("y"), known.element("y")) == ((1, 4, 6), (1, 6, 4), TensorProto.FLOAT)


def test_constants_are_known_by_value() -> None:
    known = Known(normalised())
    assert (known.is_constant("scale"), known.is_constant("a")) == (True, False)
    assert (known.shape("scale"), known.element("scale")) == ((4,), TensorProto.FLOAT)
    np.testing.assert_array_equal(known.constant("scale"), np.ones(4))


def test_a_shape_with_a_side_that_is_not_static_is_not_known() -> None:
    known = Known(normalised())
    assert known.element("z") == TensorProto.INT64
    for tensor in ("wide", "z", "nowhere"):
        with pytest.raises(KeyError):
            known.shape(tensor)


def test_a_model_of_which_onnx_infers_all_is_inferred_as_it_is() -> None:
    model = normalised()
    assert inferable(model) is not model
    model.graph.node[1].op_type = "Relu"
    assert inferable(model) is model
