"""A graph of any opset becomes an equal one of the canonical opset, or is refused by the operator's name."""

from __future__ import annotations

import zlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import OnnxError
from rtseg.exporting.opset_lowering.opset import with_canonical_opset
from tests.exporting.opset_lowering.opset_graphs import (
    MAKERS,
    NEWEST_OPSET,
    TOLERANCES,
    Case,
    case,
    floats,
    model_of,
    ran,
    require_equal,
    told,
)

RANDOM = np.random.default_rng(7)
X = floats(RANDOM, 1, 4, 6, 8)


def chain(nodes: list[onnx.NodeProto], opset: int, **constants: np.ndarray) -> onnx.ModelProto:
    """From "x", 1x4x6x8, to "y" of a shape that nothing states."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [f"d{index}" for index in range(4)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what the model became: valid, of opset 17, and the model as it was."""
    before = model.SerializeToString()
    result, _ = with_canonical_opset(model, "mine.onnx")
    assert model.SerializeToString() == before
    assert [(entry.domain, entry.version) for entry in result.opset_import] == [("", 17)]
    onnx.checker.check_model(result, full_check=True)
    return result


any_operator = given(
    name=st.sampled_from(sorted(MAKERS)), opset=st.integers(11, NEWEST_OPSET), seed=st.integers(0, 2**32 - 1)
)


@settings(max_examples=300, deadline=None)
@any_operator
def test_an_operator_of_any_opset_computes_the_same_at_17(name: str, opset: int, seed: int) -> None:
    require_equal_at_17(name, opset, seed)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@any_operator
def test_many_operators_of_any_opset_compute_the_same_at_17(name: str, opset: int, seed: int) -> None:
    require_equal_at_17(name, opset, seed)


def require_equal_at_17(name: str, opset: int, seed: int) -> None:
    """Make a random operator, at the nearest opset that has it, and compare what it becomes with ONNX Runtime on it."""
    first, last, make = MAKERS[name]
    opset = min(max(opset, first), last)
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    made = make(random, opset)
    model = model_of(made, opset)
    require_equal(ran(lowered(model), made.given), ran(model, made.given), TOLERANCES.get(name, 2e-6))


def test_operators_one_after_the_other_are_lowered_whatever_onnx_infers_between_them() -> None:
    scale, bias = floats(RANDOM, 4), floats(RANDOM, 4)
    nodes = [
        helper.make_node("GroupNormalization", ["x", "scale", "bias"], ["a"], num_groups=2),
        helper.make_node("Gelu", ["a"], ["b"]),
        helper.make_node("GroupNormalization", ["b", "scale", "bias"], ["c"], num_groups=4),
        helper.make_node("Split", ["c"], ["d", "e", "f"], axis=-1, num_outputs=3),
        helper.make_node("Concat", ["f", "d", "e"], ["y"], axis=3),
    ]
    model = chain(nodes, 21, scale=scale, bias=bias)
    require_equal(ran(lowered(model), {"x": X}), ran(model, {"x": X}), 1e-4)


def test_what_was_changed_is_said_in_words() -> None:
    nodes = [
        helper.make_node("Gelu", ["x"], ["a"]),
        helper.make_node("Gelu", ["a"], ["b"]),
        helper.make_node("Mish", ["b"], ["y"]),
    ]
    _, changes = with_canonical_opset(chain(nodes, 20), "mine.onnx")
    assert changes == ["opset 20 became 17", "2 Gelu, 1 Mish written in operators of opset 17"]


def test_a_graph_of_operators_that_are_the_same_is_said_to_have_changed_its_opset_alone() -> None:
    model = chain([helper.make_node("Relu", ["x"], ["y"], "act")], 22)
    result, changes = with_canonical_opset(model, "mine.onnx")
    assert changes == ["opset 22 became 17"]
    assert result.graph.node == model.graph.node


def test_what_takes_an_operators_place_goes_by_its_name_and_takes_no_other() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["act/erf"], "act/mul"),
        helper.make_node("Gelu", ["act/erf"], ["y"], "act"),
    ]
    result = lowered(chain(nodes, 20))
    names = [node.name for node in result.graph.node]
    assert len(set(names)) == len(names) and names[-1] == "act"
    outputs = [name for node in result.graph.node for name in node.output]
    assert len(set(outputs)) == len(outputs)


@pytest.mark.parametrize("opset", [12, 17, 19])
def test_an_input_that_is_empty_at_the_end_is_absent(opset: int) -> None:
    resize = helper.make_node("Resize", ["x", "roi" if opset < 13 else "", "scales", ""], ["y"], mode="linear")
    scales = np.array([1, 1, 2, 2], np.float32)
    model = chain([resize], opset, scales=scales, **({"roi": np.zeros(0, np.float32)} if opset < 13 else {}))
    result = lowered(model)
    assert len(result.graph.node[0].input) == 3
    np.testing.assert_array_equal(ran(result, {"x": X})[0], ran(model, {"x": X})[0])


def test_an_output_that_is_empty_at_the_end_is_absent() -> None:
    result = lowered(chain([helper.make_node("Dropout", ["x"], ["y", ""])], 17))
    assert list(result.graph.node[0].output) == ["y"]


def test_an_empty_input_before_others_stays_where_it_is() -> None:
    clip = helper.make_node("Clip", ["x", "", "most"], ["y"])
    assert list(lowered(chain([clip], 17, most=np.float32(1))).graph.node[0].input) == ["x", "", "most"]


def test_the_long_name_of_onnxs_own_domain_becomes_the_short_one() -> None:
    model = chain([helper.make_node("Gelu", ["x"], ["y"], domain="ai.onnx")], 20)
    model.opset_import[0].domain = "ai.onnx"
    assert {node.domain for node in lowered(model).graph.node} == {""}


def test_what_an_exporter_writes_beside_operators_is_left_out() -> None:
    model = chain([helper.make_node("Relu", ["x"], ["y"])], 20)
    for entry in (model.graph.node[0], model.graph, model.graph.input[0]):
        entry.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/me/net.py")
    assert b"/home/me" in model.SerializeToString() and b"/home/me" not in lowered(model).SerializeToString()


def test_operators_of_one_name_are_written_by_names_after_what_each_gives() -> None:
    nodes = [helper.make_node("Mish", [f"t{index}"], [f"t{index + 1}"], "same") for index in range(3)]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    names = [name for node in lowered(chain(nodes, 20)).graph.node for name in node.output]
    assert names == ["t1/softplus", "t1/tanh", "t1", "t2/softplus", "t2/tanh", "t2", "y/softplus", "y/tanh", "y"]


def test_domains_that_nothing_is_of_are_left_out() -> None:
    model = chain([helper.make_node("Relu", ["x"], ["y"])], 17)
    model.opset_import.append(helper.make_opsetid("pkg.torch", 1))
    lowered(model)


# What is refused


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(OnnxError) as refused:
        with_canonical_opset(model, "mine.onnx")
    return str(refused.value)


def test_an_operator_of_another_domain_is_named() -> None:
    message = refusal(chain([helper.make_node("Nms", ["x"], ["y"], domain="com.acme")], 17))
    assert message == "mine.onnx has operators that are not ONNX's own; got com.acme.Nms; expected none"


@pytest.mark.parametrize(("opset", "why"), [(10, "too old; got 10; expected 11 or newer"), (99, "too new; got 99")])
def test_an_opset_that_is_out_of_range_is_refused(opset: int, why: str) -> None:
    assert why in refusal(chain([helper.make_node("Relu", ["x"], ["y"])], opset))


def test_an_operator_without_a_form_is_named_with_the_export_that_avoids_it() -> None:
    made = case("ScatterND", X, [np.array([[0]])], X, reduction="max")
    assert told(made, 18) == (
        "mine.onnx has an operator that opset 17 cannot express: ScatterND (node) of opset 18; got reduction 'max'. "
        "Try: export it with torch.onnx.export(..., dynamo=False, opset_version=17)"
    )


@pytest.mark.parametrize(
    ("made", "opset", "why"),
    [
        (case("Cast", X, to=TensorProto.FLOAT8E4M3FN), 19, "y0 as tensor(float8e4m3fn)"),
        (case("Cast", X, to=TensorProto.INT4), 21, "y0 as tensor(int4)"),
        (case("IsInf", X.astype(np.float16)), 20, "x0 as tensor(float16)"),
        (case("CumProd", X, [np.int64(0)]), 26, "products of all values before"),
        (case("BitwiseAnd", np.ones(3, np.int64), [np.int64(3)]), 18, "the bits of a number"),
        (case("OptionalHasElement", X), 18, "values that may be missing"),
        (case("TensorScatter", X, X), 24, "a state kept between pictures"),
    ],
    ids=lambda value: value.node.op_type if isinstance(value, Case) else None,
)
def test_what_opset_17_lacks_is_told(made: Case, opset: int, why: str) -> None:
    assert f"got {why}. Try: export it with torch.onnx.export(..., dynamo=False" in told(made, opset)


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (helper.make_node("AveragePool", ["x"], ["y"], "pool"), "pool: Required attribute 'kernel_shape' is missing"),
        (helper.make_node("Pad", ["x"], ["y"], "pad"), "[ShapeInferenceError] (op_type:Pad, node name: pad)"),
        (helper.make_node("Gelu", ["x"], ["y"], "act", beta=1), "act: Unrecognized attribute: beta"),
    ],
    ids=["attribute", "input", "unknown"],
)
def test_an_operator_that_is_not_valid_at_its_own_opset_is_told(node: onnx.NodeProto, why: str) -> None:
    assert f"mine.onnx is not valid ONNX: {why}" in refusal(chain([node], 20))


def test_a_shape_that_is_not_known_is_told_where_it_is_needed() -> None:
    model = chain([helper.make_node("Split", ["x"], ["y", "z"], "cut", axis=2, num_outputs=2)], 18)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    assert "Split (cut) of opset 18; got x, whose shape is not static" in refusal(model)


def test_a_constant_that_is_computed_is_told_where_it_is_needed() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["whole", "flat"], ["axes"]),
        helper.make_node("ReduceMean", ["x", "axes"], ["y"], "mean"),
    ]
    message = refusal(chain(nodes, 18, flat=np.array([-1])))
    assert "ReduceMean (mean) of opset 18; got axes, which is computed where a constant is needed" in message
