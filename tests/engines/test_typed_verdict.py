"""Each convolution and matrix product is held against the precision that the graph has it in."""

from __future__ import annotations

from dataclasses import replace

from rtseg.engines.inspector import EngineLayer, EngineLayers, LayerTensor
from rtseg.engines.layer_audit import audit
from rtseg.engines.verdict import EngineVerdict, verdict_on


def kernel(operator: str, precision: str, kind: str = "correlation", *, weights: str = "") -> EngineLayer:
    data = LayerTensor("x", precision, "HWC", (1, 8, 4, 4))
    constants = (LayerTensor("w", weights or precision, "HWC", (8, 8, 3, 3)),)
    return EngineLayer(f"{operator}_myl0_1", kind, "", "", "", "unknown", (data,), (data,), (operator,), constants)


def engine(*layers: EngineLayer, **asked: str) -> EngineLayers:
    return EngineLayers(layers, (), (), "rtx", asked)


def verdict(built: EngineLayers, request: str) -> EngineVerdict:
    return verdict_on(audit(built), request)


def test_products_in_the_precision_of_the_graph_pass_whatever_their_share() -> None:
    built = engine(
        kernel("a", "fp16"), *(kernel(name, "fp32") for name in "bcdef"), a="fp16", **dict.fromkeys("bcdef", "fp32")
    )
    assert verdict(built, "fp16").passed


def test_one_product_in_another_precision_is_a_failure_that_names_it() -> None:
    built = engine(
        *(kernel(name, "int8") for name in "abcdefgh"), kernel("i", "fp16"), **dict.fromkeys("abcdefghi", "int8")
    )
    (failure,) = verdict(built, "int8").failures
    assert failure == (
        "1 of 9 convolutions and matrix products were requested in int8 and built in fp16 (i); "
        "the compiler changed the precision silently"
    )


def test_a_product_that_no_kernel_names_is_a_failure() -> None:
    (failure,) = verdict(engine(kernel("a", "fp16"), a="fp16", b="fp16"), "fp16").failures
    assert "requested in fp16 and built in no kernel (b)" in failure


def test_a_product_written_out_within_another_kernel_needs_a_tensor_as_wide() -> None:
    wide = replace(kernel("a", "fp32", "kgen"), name="__myl_SlicMulAdd_myl0_1")
    narrow = replace(kernel("a", "fp16", "kgen"), name="__myl_SlicMulAdd_myl0_1")
    assert verdict(engine(wide, a="fp16"), "fp16").passed
    assert "requested in fp32 and built in fp16 (a)" in verdict(engine(narrow, a="fp32"), "fp32").failures[0]


def test_an_int8_product_is_never_one_written_out_within_another_kernel() -> None:
    other = replace(kernel("a", "fp32", "kgen"), name="__myl_MulAddMulMinMaxRounCast_myl0_1")
    assert "requested in int8 and built in no kernel (a)" in verdict(engine(other, a="int8"), "int8").failures[0]


def test_a_kernel_that_only_moves_what_a_product_reads_is_no_product() -> None:
    copy = replace(kernel("a", "fp32", "kgen"), name="__myl_ReshConc_myl0_1")
    assert "requested in fp32 and built in no kernel (a)" in verdict(engine(copy, a="fp32"), "fp32").failures[0]


def test_weights_that_are_narrower_than_asked_are_the_precision_of_the_product() -> None:
    built = engine(kernel("a", "fp32", weights="fp16"), kernel("b", "fp32"), a="fp32", b="fp32")
    assert (
        "1 of 2 convolutions and matrix products were requested in fp32 and built in fp16 (a)"
        in (verdict(built, "fp32").failures[0])
    )


def test_tf32_is_how_fp32_may_be_computed() -> None:
    layer = replace(kernel("a", "fp32"), tactic="sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_")
    assert verdict(engine(layer, a="fp32"), "fp32").passed


def test_a_request_for_a_precision_that_no_product_has_fails() -> None:
    (failure,) = verdict(engine(kernel("a", "fp32"), a="fp32"), "fp16").failures
    assert failure == "fp16 was requested, but no product of the graph is in fp16; got fp32"


def test_a_graph_with_narrower_products_is_not_one_in_the_precision() -> None:
    built = engine(kernel("a", "int8"), kernel("b", "fp16"), kernel("c", "fp32"), a="int8", b="fp16", c="fp32")
    assert verdict(built, "int8").passed
    (failure,) = verdict(built, "fp16").failures
    assert failure == ("fp16 was requested, but the graph has 1 of 3 convolutions and matrix products in int8 (a)")
    assert "2 of 3 convolutions and matrix products in int8 (a, b)" in verdict(built, "fp32").failures[0]


def test_a_graph_without_products_is_not_proven() -> None:
    assert verdict(engine(kernel("a", "fp32")), "fp32").undecided


def test_fp16_with_weights_in_fp32_is_a_notice() -> None:
    (notice,) = verdict(engine(kernel("a", "fp16", weights="fp32"), a="fp16"), "fp16").notices
    assert notice.startswith("1 of 1 convolution or matrix product are FP16 with weights in FP32")


def test_the_verdict_on_several_compute_capabilities_is_that_of_each_build_alone() -> None:
    good, bad = engine(kernel("a", "int8"), a="int8"), engine(kernel("a", "fp16"), a="int8")
    several = replace(good, alone={"8.6": good, "8.9": bad, "12.0": bad})
    told = verdict(several, "int8")
    assert (told.passed, {name: part.passed for name, part in told.alone.items()}) == (
        False,
        {"8.6": True, "8.9": False, "12.0": False},
    )
    assert len(told.failures) == 1 and told.failures[0].startswith("for 8.9, 12.0: 1 of 1 ")
    assert verdict(replace(several, alone={"8.6": good}), "int8").passed
