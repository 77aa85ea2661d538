"""The rules of precision, the figures of an engine, the verdict, and what changed between two."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.engines.changes import changes_between, times_by_precision
from rtseg.engines.formats import layout_of
from rtseg.engines.inspector import EngineLayer, EngineLayers, LayerTensor, parse_layers
from rtseg.engines.layer_audit import Audit, audit
from rtseg.engines.layer_precision import precision_of, reads_quantized, work_of
from rtseg.engines.layer_times import LayerTimes, read_layer_times
from rtseg.engines.layers_file import read_layers
from rtseg.engines.share_verdict import MIN_FP16_SHARE, MIN_INT8_SHARE, MIN_QUANTIZED_SHARE
from rtseg.engines.verdict import verdict_on
from rtseg.errors import EngineError, UnknownNameError
from rtseg.specs import PRECISIONS

DATA = Path(__file__).resolve().parents[1] / "data" / "inspector"
ENGINES = (
    "fp16-11.json",
    "fp16-8.5.json",
    "fp16-asked-fp32-built-11.json",
    "fp16-asked-fp32-built-8.6.json",
    "int8-8.5.json",
)


def audited(name: str, profile: str | None = None) -> Audit:
    engine = read_layers(DATA / name)
    return audit(engine, None if profile is None else read_layer_times(DATA / profile, engine))


def tensor(data_type: str, name: str = "t", shape: tuple[int, ...] = (1, 8, 4, 4)) -> LayerTensor:
    return LayerTensor(name, data_type, layout_of(data_type), shape)


def layer(kind: str, before: str = "fp32", after: str | None = None, **fields: Any) -> EngineLayer:
    values: dict[str, Any] = {
        "name": "layer",
        "kind": kind,
        "operation": "",
        "origin": "",
        "tactic": "",
        "weights": "unknown",
        "inputs": (tensor(before),),
        "outputs": (tensor(after or before),),
        "operators": (),
    }
    return EngineLayer(**{**values, **fields})


def engine_of(*layers: EngineLayer) -> EngineLayers:
    return EngineLayers(
        tuple(replace(entry, name=f"layer {index}") for index, entry in enumerate(layers)), (), (), "11"
    )


@pytest.mark.parametrize(
    ("entry", "work", "precision"),
    [
        (layer("CaskConvolution", "int8", "fp16"), "convolution", "int8"),
        (layer("CaskConvolution", "int8", tactic="cutlass_tensorop_s1688fprop_s8"), "convolution", "int8"),
        (layer("CudaDepthwiseConvolution", "fp16"), "convolution", "fp16"),
        (layer("CaskGemmConvolution", tactic="sm80_xmma_gemm_f32f32_tf32f32_f32_nn_n_"), "convolution", "tf32"),
        (layer("CaskConvolution", tactic="ampere_scudnn_128x64_relu_small_nn_v1"), "convolution", "fp32"),
        (layer("CaskDeconvolutionV2", tactic="trt_volta_h884cudnn_256x64_ldg8"), "convolution", "fp16"),
        (layer("ConvActPool", "unknown", weights="int8"), "convolution", "int8"),
        (layer("CaskConvolution", "unknown"), "convolution", "unknown"),
        (layer("gemm", "fp16", tactic="sm80_xmma_gemm_f16f16_f16f16_f16_nn_n_"), "matrix product", "fp16"),
        (layer("gemm", "fp32", tactic="sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_"), "matrix product", "bf16"),
        (layer("fusion", "int8", "fp16", tactic="sm80_xmma_gemm_i8i8_i8i32_f32_tn"), "matrix product", "int8"),
        (layer("kgen", "fp16", tactic="__myl_AddRelu_0x1"), "other", "fp16"),
        (layer("PointWiseV2", "int8", "fp16"), "other", "fp16"),
        (layer("CaskPooling", "int8"), "other", "int8"),
        (layer("kgen", "fp16", inputs=(tensor("fp16"), tensor("fp32", shape=(1,)))), "other", "fp16"),
        (layer("TopK", "fp16", "int32"), "other", "fp16"),
        (layer("Gather", "int32"), "other", "integer"),
        (layer("Reformat", "fp32", "fp16", origin="REFORMAT"), "reformat", "conversion"),
        (layer("Reformat", "fp32", "int8", origin="QDQ"), "quantization", "conversion"),
        (layer("Scale", "int8", "fp16"), "quantization", "conversion"),
        (layer("Scale", "fp16"), "other", "fp16"),
        (layer("kgen", "fp16", "int8", operators=("x_QuantizeLinear",)), "quantization", "conversion"),
        (layer("kgen", "fp16", "int8", operators=("x_QuantizeLinear", "/a/Relu")), "other", "fp16"),
    ],
)
def test_a_layers_work_and_precision_follow_the_rules(entry: EngineLayer, work: str, precision: str) -> None:
    assert (work_of(entry), precision_of(entry)) == (work, precision)


@pytest.mark.parametrize(
    ("operators", "quantized"),
    [
        (("w", "w_QuantizeLinear", "/a/Conv"), True),
        (("x_DequantizeLinear", "w_DequantizeLinear", "/a/Conv", "y_QuantizeLinear"), True),
        (("/a/Conv", "/a/Relu", "y_QuantizeLinear"), False),
        (("/a/Conv",), False),
        ((), False),
    ],
)
def test_a_quantizer_of_the_output_does_not_make_a_convolution_a_quantised_one(
    operators: tuple[str, ...], quantized: bool
) -> None:
    assert reads_quantized(layer("CaskConvolution", operators=operators)) is quantized


def test_a_good_fp16_engine_is_counted_and_weighed() -> None:
    result = audited("fp16-8.5.json", "fp16-8.5.profile.json")
    assert [(row.precision, row.layers) for row in result.rows] == [("fp16", 7), ("conversion", 1)]
    assert result.rows[1].time_share == pytest.approx(0.0312 / 0.5844)
    assert result.skipped == 1
    assert verdict_on(result, "fp16").passed


def test_an_int8_engine_shows_its_lone_quantizers_and_reformats() -> None:
    result = audited("int8-8.5.json", "int8-8.5.profile.json")
    assert [(entry.tensor, entry.before, entry.after, entry.place) for entry in result.unfused] == [
        ("image", "fp32 LINEAR", "int8 CHW4", "input"),
        ("/network/fusion/Sigmoid_output_0", "fp16 LINEAR", "int8 CHW32", "inside"),
        ("/network/fusion/Sigmoid_output_0_quantized", "int8 CHW32", "fp16 CHW32", "inside"),
        ("/network/fusion/Resize_output_0", "fp16 CHW32", "int8 CHW32", "inside"),
    ]
    assert [entry.tensor for entry in result.reformats] == ["/network/fusion/main/Relu_output_0"]
    assert result.to_json()["unfused"]["time_share"] == pytest.approx(0.073 / 0.4)


def test_floating_point_between_int8_layers_is_found_through_conversions() -> None:
    names = [entry.layer.name for entry in audited("int8-8.5.json").between_int8]
    assert names == ["PWN(PWN(/network/fusion/Sigmoid), /network/fusion/Mul)", "/network/fusion/Resize"]


def test_floating_point_at_an_end_or_behind_another_convolution_is_not_between() -> None:
    def step(kind: str, data_type: str, source: str, target: str) -> EngineLayer:
        return layer(kind, inputs=(tensor(data_type, source),), outputs=(tensor(data_type, target),))

    engine = engine_of(
        step("PointWise", "fp16", "image", "a"),
        step("CaskConvolution", "int8", "a", "b"),
        step("CaskConvolution", "fp16", "b", "c"),
        step("PointWise", "fp16", "c", "d"),
        step("CaskConvolution", "fp16", "d", "e"),
        step("CaskConvolution", "int8", "e", "f"),
        step("PointWise", "fp16", "f", "output"),
    )
    assert audit(engine).between_int8 == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fp16-asked-fp32-built-11.json", "TensorRT 11 has no FP16 flag"),
        ("fp16-asked-fp32-built-8.6.json", "the FP16 builder flag was not set"),
    ],
)
def test_fp16_asked_and_fp32_built_fails_with_the_likely_reason(name: str, reason: str) -> None:
    verdict = verdict_on(audited(name), "fp16")
    assert not verdict.passed
    with pytest.raises(EngineError, match=f"all 4 convolutions and matrix products in tf32 .*{reason}"):
        verdict.require()


def test_fp32_built_as_asked_tells_that_its_kernels_are_tf32() -> None:
    verdict = verdict_on(audited("fp16-asked-fp32-built-11.json"), "fp32")
    assert verdict.passed
    assert "4 of 4 convolutions and matrix products are TF32" in verdict.notices[0]


@pytest.mark.parametrize(
    ("name", "passing"), [("fp16-11.json", "fp16"), ("fp16-8.5.json", "fp16"), ("int8-8.5.json", "int8")]
)
def test_an_engine_is_what_it_is_and_nothing_else(name: str, passing: str) -> None:
    result = audited(name)
    assert [request for request in PRECISIONS if verdict_on(result, request).passed] == [passing]


def convolutions(**numbers: int) -> Audit:
    return audit(engine_of(*(layer("CaskConvolution", kind) for kind, count in numbers.items() for _ in range(count))))


@pytest.mark.parametrize(("half", "passed"), [(15, True), (14, False)])
def test_a_few_fp32_layers_are_no_failure_of_fp16_and_many_are(half: int, passed: bool) -> None:
    assert (half / 20 >= MIN_FP16_SHARE) is passed
    assert verdict_on(convolutions(fp16=half, fp32=20 - half), "fp16").passed is passed


@pytest.mark.parametrize(("int8", "passed"), [(5, True), (4, False)])
def test_an_int8_engine_may_keep_blocks_in_fp16_but_not_almost_all(int8: int, passed: bool) -> None:
    assert (int8 / 20 >= MIN_INT8_SHARE) is passed
    assert verdict_on(convolutions(int8=int8, fp16=20 - int8), "int8").passed is passed


@pytest.mark.parametrize(("lost", "passed"), [(1, True), (2, False)])
def test_quantised_convolutions_that_are_not_int8_fail_an_int8_engine(lost: int, passed: bool) -> None:
    operators = ("w", "w_QuantizeLinear", "/a/Conv")
    layers = [layer("CaskConvolution", "fp16" if n < lost else "int8", operators=operators) for n in range(10)]
    verdict = verdict_on(audit(engine_of(*layers)), "int8")
    assert ((10 - lost) / 10 >= MIN_QUANTIZED_SHARE) is passed
    assert verdict.passed is passed
    assert passed or "2 of 10 convolutions and matrix products with Q/DQ in fp16 (/a/Conv" in verdict.failures[0]


def test_int8_with_fp32_for_the_rest_is_noticed() -> None:
    verdict = verdict_on(convolutions(int8=6, fp32=4), "int8")
    assert verdict.passed and "INT8 was built without FP16" in verdict.notices[0]


@pytest.mark.parametrize("request_", PRECISIONS)
def test_unknown_types_prove_nothing(request_: str) -> None:
    verdict = verdict_on(convolutions(unknown=1, fp16=9), request_)
    assert "are unknown" in verdict.undecided and verdict.failures == () and not verdict.passed
    with pytest.raises(EngineError, match="are unknown"):
        verdict.require()
    assert "no convolution" in verdict_on(audit(engine_of(layer("CaskPooling"))), request_).undecided


def test_an_unknown_request_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="fp61"):
        verdict_on(audited("fp16-11.json"), "fp61")


def test_a_layer_that_became_int8_is_matched_by_its_operators() -> None:
    changes = changes_between(audited("int8-8.5.json"), audited("fp16-8.5.json"))
    changed = [change for change in changes if change.kind == "precision"]
    assert [(c.before.precisions, c.after.precisions) for c in changed if c.before and c.after] == [
        (("fp16",), ("int8",))
    ] * 4
    assert changed[-1].before is not None and changed[-1].after is not None
    assert changed[-1].before.layers == (
        "/network/classifier/classifier.0/Conv + /network/classifier/classifier.0/Relu",
    )
    assert changed[-1].after.layers[0].startswith("onnx::Conv_762 + onnx::Conv_762_QuantizeLinear + ")


def test_the_same_operators_in_fewer_layers_are_regrouped_not_gone() -> None:
    changes = changes_between(audited("fp16-11.json"), audited("fp16-8.5.json"))
    assert [(change.kind, len(change.before.layers) if change.before else 0) for change in changes] == [
        ("disappeared", 1),
        ("regrouped", 2),
    ]


def test_a_dequantizer_that_two_convolutions_share_does_not_make_them_one() -> None:
    def engine(second: str) -> Audit:
        shared = "x_DequantizeLinear"
        return audit(
            engine_of(
                layer("CaskConvolution", "int8", operators=(shared, "/a/Conv")),
                layer("CaskConvolution", second, operators=(shared, "/b/Conv")),
            )
        )

    (change,) = changes_between(engine("fp16"), engine("int8"))
    assert change.before is not None and change.after is not None
    assert (change.before.layers, change.before.precisions) == (("layer 1",), ("int8",))
    assert change.after.precisions == ("fp16",)


def test_times_by_precision_stand_side_by_side() -> None:
    after = audited("int8-8.5.json", "int8-8.5.profile.json")
    before = audited("fp16-8.5.json", "fp16-8.5.profile.json")
    times = times_by_precision(after, before)
    assert times["int8"] == {"before": 0, "after": pytest.approx(0.197)}
    assert times_by_precision(after, audited("fp16-8.5.json"))["fp16"]["before"] is None


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_against_itself_shows_no_change(name: str) -> None:
    assert changes_between(audited(name), audited(name)) == ()


@given(st.sampled_from(ENGINES), st.sampled_from(ENGINES), st.randoms(use_true_random=False))
def test_what_appears_one_way_disappears_the_other_and_order_does_not_matter(
    first: str, second: str, order: random.Random
) -> None:
    one, other = audited(first), audited(second)
    shuffled = list(other.engine.layers)
    order.shuffle(shuffled)
    forth = changes_between(one, other)
    assert forth == changes_between(one, audit(replace(other.engine, layers=tuple(shuffled))))
    back = {(change.before, change.after) for change in changes_between(other, one)}
    assert {(change.after, change.before) for change in forth} == back


KINDS = st.sampled_from(["CaskConvolution", "Reformat", "kgen", "gemm", "NoOp", "Scale", "Resize", "Constant"])
TYPES = st.sampled_from(["fp32", "fp16", "int8", "int32", "unknown"])
LAYERS = st.lists(st.builds(layer, KINDS, TYPES, TYPES), min_size=1, max_size=12)


@given(LAYERS, st.data())
def test_shares_add_up_to_one_and_the_order_of_layers_does_not_matter(layers: list[EngineLayer], data: Any) -> None:
    engine = engine_of(*layers)
    times = tuple(data.draw(st.floats(0.001, 10)) for _ in layers)
    result = audit(engine, LayerTimes(times, 0.0))
    if result.layers:
        assert sum(row.layer_share for row in result.rows) == pytest.approx(1)
        assert sum(row.time_share or 0 for row in result.rows) == pytest.approx(1)
    assert sum(row.layers for row in result.rows) + result.skipped == len(layers)
    order = data.draw(st.permutations(range(len(layers))))
    moved = replace(engine, layers=tuple(engine.layers[index] for index in order))
    again = audit(moved, LayerTimes(tuple(times[index] for index in order), 0.0))
    counts = [
        [(row.precision, row.layers, pytest.approx(row.ms)) for row in rows] for rows in (result.rows, again.rows)
    ]
    assert [(row.precision, row.layers, row.ms) for row in again.rows] == counts[0]
    assert [verdict_on(result, request).passed for request in PRECISIONS] == [
        verdict_on(again, request).passed for request in PRECISIONS
    ]


def test_an_audit_of_a_parsed_file_is_plain_json() -> None:
    import json

    result = audited("int8-8.5.json", "int8-8.5.profile.json").to_json()
    assert json.loads(json.dumps(result))["weighted"] == {"int8": 3, "fp16": 1}
    assert parse_layers(json.loads((DATA / "int8-8.5.json").read_text())).schema == "8-10"
