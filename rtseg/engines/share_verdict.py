"""Judge whether enough of an engine is in the requested precision, if no request for each single product is known."""

from __future__ import annotations

from collections.abc import Sequence

from rtseg.engines.audited_layer import AuditedLayer
from rtseg.engines.layer_audit import Audit, count_of
from rtseg.engines.layer_precision import QUANTIZED, reads_quantized
from rtseg.engines.product_words import first_names, part_of, precisions, products

MIN_FP16_SHARE = 0.75
"""Minimum share of an FP16 engine's convolutions and matrix products in FP16. With builder flags TensorRT keeps a
kernel in FP32 if it measured that to be faster; a typed graph has everything in FP16 except the layers kept by request.
"""

MIN_INT8_SHARE = 0.25
"""Minimum share of an INT8 engine's products in INT8. Blocks that cost accuracy and small layers rightly stay in FP16;
below this share it is no longer an INT8 engine.
"""

MIN_QUANTIZED_SHARE = 0.9
"""Minimum share in INT8 of the products that the graph quantizes: TensorRT may lack an INT8 kernel for a few."""


def failures_of(audit: Audit, request: str) -> list[str]:
    """Return one sentence with the likely reason for each failure; request is fp32, fp16 or int8."""
    return {"fp32": _fp32, "fp16": _fp16, "int8": _int8}[request](audit)


def _fp32(audit: Audit) -> list[str]:
    narrow = [entry for entry in audit.weighted if entry.precision not in ("fp32", "tf32")]
    if not narrow:
        return []
    reason = (
        "the graph itself holds FP16 or Q/DQ"
        if audit.engine.schema == "11"
        else ("a builder flag (FP16, BF16, INT8) was set, or the graph itself holds FP16 or Q/DQ")
    )
    return [_failure("fp32", f"{part_of(narrow, audit.weighted)} narrower", narrow, reason)]


def _fp16(audit: Audit) -> list[str]:
    layers, failures = audit.weighted, []
    if quantized := [entry for entry in layers if entry.precision in QUANTIZED]:
        failures.append(
            _failure(
                "fp16", f"{part_of(quantized, layers)} in {quantized[0].precision}", quantized, "the graph holds Q/DQ"
            )
        )
    half = count_of(layers, "fp16", *QUANTIZED)
    wide = [entry for entry in layers if entry.precision not in ("fp16", *QUANTIZED)]
    if half == 0:
        failures.append(
            _failure("fp16", f"all {len(layers)} {products(len(layers))} in {precisions(wide)}", wide, _no_half(audit))
        )
    elif half / len(layers) < MIN_FP16_SHARE:
        reason = (
            "FP16 kernels that did not fit into the workspace, or layers kept in FP32 (at least "
            f"{MIN_FP16_SHARE:.0%} are expected in FP16); a larger workspace or fewer kept layers"
        )
        failures.append(_failure("fp16", f"{part_of(wide, layers)} in {precisions(wide)}", wide, reason))
    return failures


def _int8(audit: Audit) -> list[str]:
    layers, failures = audit.weighted, []
    int8 = count_of(layers, "int8")
    rest = [entry for entry in layers if entry.precision != "int8"]
    quantized = [entry for entry in layers if reads_quantized(entry.layer)]
    lost = [entry for entry in quantized if entry.precision != "int8"]
    if int8 == 0:
        reason = "a graph without Q/DQ (rtseg quantize)"
        if audit.engine.schema != "11":
            reason += ", or one with Q/DQ whose build lacked the INT8 flag"
        failures.append(
            _failure("int8", f"all {len(layers)} {products(len(layers))} in {precisions(rest)}", rest, reason)
        )
        return failures
    if lost and 1 - len(lost) / len(quantized) < MIN_QUANTIZED_SHARE:
        reason = (
            "no INT8 kernel for these shapes (channels that are no multiple of 4, groups) or none that fits into the "
            "workspace; a larger workspace, or leave them out: rtseg quantize --exclude"
        )
        failures.append(_failure("int8", f"{part_of(lost, quantized)} with Q/DQ in {precisions(lost)}", lost, reason))
    if int8 / len(layers) < MIN_INT8_SHARE:
        reason = f"most of the graph has no Q/DQ (at least {MIN_INT8_SHARE:.0%} are expected in INT8)"
        failures.append(_failure("int8", f"{part_of(rest, layers)} in {precisions(rest)}", rest, reason))
    return failures


def notices_of(audit: Audit, request: str) -> list[str]:
    """Return one sentence for each finding that meets the request but is unexpected."""
    notices = []
    layers = audit.weighted
    wide = count_of(layers, "fp32", "tf32")
    if request == "int8" and wide > count_of(layers, "fp16", "bf16"):
        notices.append(
            f"{wide} of {len(layers)} {products(len(layers))} are FP32: INT8 was built without FP16 for the rest"
        )
    if request == "fp32" and (tf32 := count_of(layers, "tf32")):
        notices.append(
            f"{tf32} of {len(layers)} {products(len(layers))} are TF32, TensorRT's default for FP32: "
            "10 bits of mantissa"
        )
    return notices


def _no_half(audit: Audit) -> str:
    build = "rtseg build --precision fp16 gives it FP16"
    if audit.engine.schema == "11":
        return f"an FP32 graph: TensorRT 11 has no FP16 flag and takes the types from the graph; {build}"
    return f"the FP16 builder flag was not set, or a strongly typed network was given an FP32 graph; {build}"


def _failure(request: str, got: str, layers: Sequence[AuditedLayer], reason: str) -> str:
    text = f"{request} was requested, but the compiler chose another precision; got {got} ({first_names(layers)})"
    return f"{text}; likely reason: {reason}"
