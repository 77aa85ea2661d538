"""Every cell of the table in rtseg.engines.lowering.lower, read from the result."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from rtseg.artifacts.files import sha256_of
from rtseg.engines.lowering.lower import BUILDER_FLAGS, Lowered, lower
from rtseg.engines.lowering.versions import FLAGS, FORMS, RTX, TURING, TYPED
from rtseg.errors import QuantizationError, UnknownNameError
from rtseg.quantization.fp16 import to_fp16
from tests.engines.lowering.lowering_graphs import (
    FLOAT,
    UINT8,
    element_types,
    graph,
    node,
    operators,
    picture,
    ran,
    weights,
)

HALF = TensorProto.FLOAT16
MEAN = node("ReduceMean", ["b"], "c", axes=[2, 3])
"""An operator that means something else at opset 19, so that raising has something to do."""


def fp32() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["image", "w", "b1"], "a", kernel_shape=[1, 1]),
        node("Relu", ["a"], "b"),
        MEAN,
        node("Sub", ["b", "c"], "output"),
    ]
    return graph(nodes, w=weights(4, 4, 1, 1), b1=weights(4))


def int8() -> onnx.ModelProto:
    nodes = [
        node("QuantizeLinear", ["image", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "d"),
        node("QuantizeLinear", ["w", "ws", "wz"], "wq", axis=0),
        node("DequantizeLinear", ["wq", "ws", "wz"], "wd", axis=0),
        node("Conv", ["d", "wd", "b1"], "a", kernel_shape=[1, 1]),
        node("Relu", ["a"], "b"),
        MEAN,
        node("Sub", ["b", "c"], "output"),
    ]
    weight = weights(4, 4, 1, 1)
    scale = (np.abs(weight).max((1, 2, 3)) / 127).astype(np.float32)
    zeros = np.zeros(4, np.int8)
    return graph(nodes, w=weight, ws=scale, wz=zeros, s=np.float32(0.03), z=np.int8(0), b1=weights(4))


def fp16() -> onnx.ModelProto:
    return to_fp16(fp32()).model


def int8_fp16() -> onnx.ModelProto:
    return lower(int8(), "int8", TYPED).model


def accepted(model: onnx.ModelProto, precision: str, form: str) -> Lowered:
    before = model.SerializeToString()
    lowered = lower(model, precision, form)
    assert model.SerializeToString() == before
    assert (lowered.precision, lowered.form) == (precision, form)
    assert lowered.source_sha256 == hashlib.sha256(before).hexdigest()
    assert lowered.sha256 == hashlib.sha256(lowered.model.SerializeToString()).hexdigest()
    onnx.checker.check_model(lowered.model, full_check=True)
    array = picture(model)
    np.testing.assert_allclose(ran(lowered.model, array), ran(model, array), atol=0.1)
    return lowered


# What is accepted


def test_typed_fp32_is_the_file_itself() -> None:
    lowered = accepted(fp32(), "fp32", TYPED)
    assert lowered.model == fp32()
    assert lowered.builder_flags == ()
    assert lowered.sha256 == lowered.source_sha256
    assert lowered.account == "types as in the file"


def test_typed_fp16_is_typed_fp16_at_opset_17() -> None:
    lowered = accepted(fp32(), "fp16", TYPED)
    assert lowered.builder_flags == ()
    assert operators(lowered.model) == ["Cast", "Conv", "Relu", "ReduceMean", "Sub", "Cast"]
    assert {kind for name, kind in element_types(lowered.model).items() if name not in ("image", "output")} == {HALF}
    assert (lowered.model.opset_import[0].version, lowered.model.ir_version) == (17, 8)
    assert lowered.account == "4 operators FP16, 2 Casts"


def test_typed_int8_is_int8_with_fp16_around_it_at_opset_19() -> None:
    lowered = accepted(int8(), "int8", TYPED)
    assert lowered.builder_flags == ()
    assert (lowered.model.opset_import[0].version, lowered.model.ir_version) == (19, 9)
    assert operators(lowered.model) == [
        *("QuantizeLinear", "DequantizeLinear", "DequantizeLinear"),
        *("Conv", "Relu", "ReduceMean", "Sub", "Cast"),
    ]
    kinds = element_types(lowered.model)
    assert [kinds[name] for name in ("d", "wd", "a", "b", "c")] == [HALF] * 5
    scales = [entry.input[1] for entry in lowered.model.graph.node if entry.op_type == "DequantizeLinear"]
    assert [kinds[name] for name in scales] == [HALF, HALF]
    assert lowered.account.startswith("opset 19; 1 operators INT8, 3 operators FP16")


def test_typed_takes_what_is_fp16_already_as_it_is() -> None:
    lowered = accepted(fp16(), "fp16", TYPED)
    assert lowered.model == fp16()
    assert lowered.builder_flags == ()


def test_typed_takes_int8_with_fp16_as_it_is() -> None:
    lowered = accepted(int8_fp16(), "int8", TYPED)
    assert lowered.model == int8_fp16()
    assert lowered.sha256 == lowered.source_sha256


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_flags_take_the_fp32_file_as_it_is(precision: str) -> None:
    lowered = accepted(fp32(), precision, FLAGS)
    assert lowered.model == fp32()
    assert lowered.builder_flags == {"fp32": (), "fp16": ("FP16",)}[precision]


def test_flags_take_the_int8_file_as_it_is_and_fp16_with_it() -> None:
    lowered = accepted(int8(), "int8", FLAGS)
    assert lowered.model == int8()
    assert lowered.builder_flags == ("FP16", "INT8")
    assert lowered.account == "builder flags FP16 and INT8"


def test_the_flags_are_names_of_tensorrt() -> None:
    assert {name for names in BUILDER_FLAGS.values() for name in names} == {"FP16", "INT8"}


# What is refused

GRAPHS = {"fp32": fp32, "int8": int8, "fp16": fp16, "int8 with fp16": int8_fp16}
REFUSED = [
    ("fp32", "int8", TYPED, "INT8 is not in the graph; got no Q/DQ"),
    ("fp32", "int8", FLAGS, "INT8 is not in the graph; got no Q/DQ"),
    ("int8", "fp32", TYPED, "the graph is INT8, not fp32; got Q/DQ"),
    ("int8", "fp32", FLAGS, "the graph is INT8, not fp32; got Q/DQ"),
    ("int8", "fp16", TYPED, "the graph is INT8, not fp16; got Q/DQ"),
    ("int8", "fp16", FLAGS, "the graph is INT8, not fp16; got Q/DQ"),
    ("fp16", "fp32", TYPED, "the graph is FP16, not fp32"),
    ("fp16", "fp32", FLAGS, "TensorRT before 10 takes the canonical file"),
    ("fp16", "fp16", FLAGS, "TensorRT before 10 takes the canonical file"),
    ("fp16", "int8", TYPED, "INT8 is not in the graph; got no Q/DQ"),
    ("fp16", "int8", FLAGS, "TensorRT before 10 takes the canonical file"),
    ("int8 with fp16", "fp32", TYPED, "the graph is INT8, not fp32; got Q/DQ"),
    ("int8 with fp16", "fp32", FLAGS, "TensorRT before 10 takes the canonical file"),
    ("int8 with fp16", "fp16", TYPED, "the graph is INT8, not fp16; got Q/DQ"),
    ("int8 with fp16", "fp16", FLAGS, "TensorRT before 10 takes the canonical file"),
    ("int8 with fp16", "int8", FLAGS, "TensorRT before 10 takes the canonical file"),
]
REFUSED += [(kind, precision, RTX, why) for kind, precision, form, why in REFUSED if form == TYPED]


@pytest.mark.parametrize(("kind", "precision", "form", "why"), REFUSED)
def test_a_combination_that_makes_no_sense_is_refused(kind: str, precision: str, form: str, why: str) -> None:
    with pytest.raises(QuantizationError, match=why):
        lower(GRAPHS[kind](), precision, form)


def test_the_cells_accepted_and_refused_are_all_there_are() -> None:
    refused = {entry[:3] for entry in REFUSED}
    for kind, made in GRAPHS.items():
        for precision in BUILDER_FLAGS:
            for form in FORMS:
                if (kind, precision, form) not in refused:
                    accepted(made(), precision, form)


@pytest.mark.parametrize("form", FORMS)
def test_a_graph_placed_for_another_target_is_refused(form: str) -> None:
    model = int8()
    zero = next(entry for entry in model.graph.initializer if entry.name == "z")
    zero.CopyFrom(numpy_helper.from_array(np.uint8(128), "z"))
    with pytest.raises(QuantizationError, match=r"image as uint8; expected int8\. Try: .*--target tensorrt"):
        lower(model, "int8", form)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown precision"):
        lower(fp32(), "int4", TYPED)
    with pytest.raises(UnknownNameError, match="unknown form"):
        lower(fp32(), "fp16", "8.5.3")


# What must stay FP32


def test_typed_keeps_what_it_is_told_to() -> None:
    lowered = lower(fp32(), "fp16", TYPED, keep=["/b"], ranges={"c": 1e6})
    kinds = element_types(lowered.model)
    assert kinds["b"] == kinds["c"] == FLOAT
    assert "3 FP32 (2 values of up to 1e+06, 1 asked for)" in lowered.account


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_flags_cannot_keep_a_part_in_fp32_and_say_so(precision: str) -> None:
    model = {"fp16": fp32, "int8": int8}[precision]()
    with pytest.raises(QuantizationError, match=r"got /b \(asked for\); expected none"):
        lower(model, precision, FLAGS, keep=["/b"])
    with pytest.raises(QuantizationError, match=r"got /c \(values of up to 1e\+06\) and 1 more; expected none"):
        lower(model, precision, FLAGS, ranges={"c": 1e6})


def test_flags_take_ranges_that_fit() -> None:
    assert lower(fp32(), "fp16", FLAGS, ranges={"c": 10.0}).builder_flags == ("FP16",)


# TensorRT for RTX


@pytest.mark.parametrize(("kind", "precision"), [("fp32", "fp32"), ("fp32", "fp16"), ("int8", "int8")])
def test_rtx_takes_what_a_typed_tensorrt_takes_and_is_told_what_each_product_is(kind: str, precision: str) -> None:
    lowered = lower(GRAPHS[kind](), precision, RTX, capabilities=[(8, 6)])
    assert lowered.model == lower(GRAPHS[kind](), precision, TYPED).model
    assert lowered.products == {"/a": precision}


def test_int8_for_turing_is_refused_as_it_would_be_fp16_arithmetic() -> None:
    with pytest.raises(QuantizationError, match=r"INT8 for compute capability 7\.5 is not built: .* FP16 arithmetic"):
        lower(int8(), "int8", RTX, capabilities=[TURING])


def products(precision: str = "fp32") -> onnx.ModelProto:
    """A product with a constant on each side."""
    nodes = [
        node("MatMul", ["image", "right"], "a"),
        node("MatMul", ["left", "a"], "output"),
    ]
    return graph(nodes, result=(1, 4, 6, 5), right=weights(8, 5), left=weights(6, 8))


def test_fp32_products_with_a_constant_become_convolutions_for_turing_alone() -> None:
    lowered = lower(products(), "fp32", RTX, capabilities=[TURING])
    assert "MatMul" not in operators(lowered.model) and operators(lowered.model).count("Conv") == 2
    assert lowered.products == {"/a": "fp32", "/output": "fp32"}
    assert "2 FP32 matrix products written as convolutions" in lowered.account
    onnx.checker.check_model(lowered.model, full_check=True)
    array = picture(products())
    np.testing.assert_allclose(ran(lowered.model, array), ran(products(), array), atol=1e-5)
    assert operators(lower(products(), "fp32", RTX, capabilities=[(8, 6)]).model) == ["MatMul", "MatMul"]


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_with_its_factors_and_bias_becomes_a_convolution_for_turing(transposed: int) -> None:
    matrix = weights(3, 32) if transposed else weights(32, 3)
    nodes = [
        node("Reshape", ["image", "rows"], "a"),
        node("Gemm", ["a", "w", "c"], "output", alpha=0.5, beta=2.0, transB=transposed),
    ]
    model = graph(nodes, (1, 4, 8, 8), result=(8, 3), rows=np.array([8, 32]), w=matrix, c=weights(3))
    lowered = lower(model, "fp32", RTX, capabilities=[TURING])
    assert "Gemm" not in operators(lowered.model)
    array = picture(model)
    np.testing.assert_allclose(ran(lowered.model, array), ran(model, array), atol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (8, 1), (8, 3), (1,), ()])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_whatever_a_gemm_adds_is_added_for_turing_too(shape: tuple[int, ...], beta: float) -> None:
    nodes = [
        node("Reshape", ["image", "rows"], "a"),
        node("Gemm", ["a", "w", "c"], "output", beta=beta),
    ]
    addend = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    model = graph(nodes, (1, 4, 8, 8), result=(8, 3), rows=np.array([8, 32]), w=weights(32, 3), c=addend)
    lowered = lower(model, "fp32", RTX, capabilities=[TURING])
    array = picture(model)
    np.testing.assert_allclose(ran(lowered.model, array), ran(model, array), atol=1e-5)


def test_a_square_gemm_with_a_column_to_add_stays_exact_for_turing() -> None:
    nodes = [node("Reshape", ["image", "rows"], "a"), node("Gemm", ["a", "w", "c"], "output")]
    column = np.arange(8, dtype=np.float32)[:, None]
    model = graph(nodes, (1, 4, 8, 8), result=(8, 8), rows=np.array([8, 32]), w=weights(32, 8), c=column)
    array = picture(model)
    after = lower(model, "fp32", RTX, capabilities=[TURING]).model
    np.testing.assert_allclose(ran(after, array), ran(model, array), atol=1e-5)


def test_names_that_the_rewriting_would_make_up_may_be_taken() -> None:
    nodes = [
        node("Relu", ["image"], "/mm_in"),
        onnx.helper.make_node("MatMul", ["/mm_in", "/mm_weights"], ["/mm_conv"], "/mm"),
        onnx.helper.make_node("Relu", ["/mm_conv"], ["output"], "/mm_out"),
    ]
    model = graph(nodes, result=(1, 4, 8, 5), **{"/mm_weights": weights(8, 5)})
    lowered = lower(model, "fp32", RTX, capabilities=[TURING])
    onnx.checker.check_model(lowered.model, full_check=True)
    array = picture(model)
    np.testing.assert_allclose(ran(lowered.model, array), ran(model, array), atol=1e-5)


def test_a_vector_times_a_matrix_is_refused_for_turing() -> None:
    nodes = [node("Reshape", ["image", "flat"], "a"), node("MatMul", ["a", "w"], "output")]
    model = graph(nodes, (1, 1, 4, 8), result=(3,), flat=np.array([32]), w=weights(32, 3))
    with pytest.raises(QuantizationError, match="has no FP32 matrix product; got /output of a vector times a matrix"):
        lower(model, "fp32", RTX, capabilities=[TURING])


@pytest.mark.parametrize("name", ["a, b", "x], Outputs: [", "two\nlines", "n" * 400, "a][ONNX Layer: other"])
def test_names_that_the_compilers_log_cannot_hold_are_replaced(name: str) -> None:
    model = fp32()
    model.graph.node[0].name = name
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = name
    lowered = lower(model, "fp32", RTX)
    names = {text for entry in lowered.model.graph.node for text in (entry.name, *entry.input, *entry.output)}
    assert name not in names and len(lowered.products) == 1
    assert "2 names replaced that the compiler's log cannot hold" in lowered.account
    array = picture(model)
    np.testing.assert_array_equal(ran(lowered.model, array), ran(model, array))


def test_a_product_that_nothing_reads_or_that_reads_no_picture_is_not_asked_for() -> None:
    model = fp32()
    model.graph.node.extend(
        [node("Conv", ["image", "w", "b1"], "unread", kernel_shape=[1, 1]), node("MatMul", ["w", "w"], "constant")]
    )
    assert list(lower(model, "fp32", RTX).products) == ["/a"]


def test_an_fp32_product_of_two_computed_tensors_is_refused_for_turing() -> None:
    model = graph([node("MatMul", ["image", "image"], "output")], (1, 4, 8, 8))
    with pytest.raises(QuantizationError, match=r"7\.5 has no FP32 matrix product; got /output of two computed"):
        lower(model, "fp32", RTX, capabilities=[TURING])
    assert operators(lower(model, "fp16", RTX, capabilities=[TURING]).model) == ["Cast", "MatMul", "Cast"]


def test_products_without_a_name_of_their_own_get_one() -> None:
    model = fp32()
    model.graph.node[0].name = ""
    assert lower(model, "fp32", RTX).products == {"a_product": "fp32"}
    model = products()
    for entry in model.graph.node:
        entry.name = "same"
    assert len(lower(model, "fp32", RTX).products) == 2


# The uint8 ends

LABELS = [
    node("Transpose", ["image"], "a", perm=[0, 3, 1, 2]),
    node("Cast", ["a"], "b", to=FLOAT),
    node("Mul", ["b", "factor"], "c"),
    node("Conv", ["c", "w"], "d", kernel_shape=[1, 1]),
    node("ArgMax", ["d"], "e", axis=1, keepdims=0),
    node("Cast", ["e"], "output", to=UINT8),
]


@pytest.mark.parametrize(("precision", "form"), [(p, t) for p in ("fp32", "fp16") for t in FORMS])
def test_bytes_meet_a_cast_with_a_float_in_every_target(precision: str, form: str) -> None:
    constants = {"factor": np.float32(0.01), "w": weights(5, 3, 1, 1)}
    source = graph(LABELS, (1, 8, 6, 3), result=(1, 8, 6), kinds=(UINT8, UINT8), **constants)
    lowered = lower(source, precision, form)
    kinds = element_types(lowered.model)
    for entry in lowered.model.graph.node:
        if UINT8 in (kinds[entry.input[0]], kinds[entry.output[0]]):
            assert {kinds[entry.input[0]], kinds[entry.output[0]]} == {UINT8, FLOAT}
    assert "uint8 ends cast from and to float32" in lowered.account
    assert np.mean(ran(lowered.model, picture(source)) == ran(source, picture(source))) > 0.95


# Files


def test_the_digest_of_a_file_of_rtseg_is_the_one_in_its_manifest(exported: Path) -> None:
    lowered = lower(onnx.load(exported), "fp16", TYPED)
    assert lowered.source_sha256 == sha256_of(exported)
    assert all(
        np.isfinite(numpy_helper.to_array(entry)).all()
        for entry in lowered.model.graph.initializer
        if entry.data_type == HALF
    )


def test_lowering_twice_gives_the_same_bytes(exported: Path) -> None:
    first, second = (lower(onnx.load(exported), "fp16", TYPED).sha256 for _ in range(2))
    assert first == second
