"""Convert a graph to FP16: every tensor gets a type; Casts are inserted only where FP16 and FP32 meet.

fp16_rules decides what stays FP32 and why, fp16_constants converts constants, and fp16_conversion walks over the graph.
The graph's input and output keep their types, so a Cast follows a float32 input and another precedes a float32 output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from rtseg.errors import QuantizationError
from rtseg.graphs.view import GraphView, attribute, node_name
from rtseg.quantization.fp16_constants import with_unit_variance
from rtseg.quantization.fp16_conversion import Conversion
from rtseg.quantization.fp16_rules import QUANTIZERS, float32_reasons

QUANTIZED_FP16_OPSET = 19
"""The first opset in which QuantizeLinear and DequantizeLinear accept float16."""


@dataclass(frozen=True)
class Fp16Graph:
    """A typed FP16 graph, and an account of the conversion.

    precisions maps each operator with a float tensor, by node name, to "int8", "fp16" or "fp32", without Casts and
    quantizers; reasons says why each "fp32" one stays. casts counts the Casts between FP16 and FP32. subnormal and zero
    count, by constant name, the weights that lost bits, or became zero, in FP16's range. scale_change is the largest
    relative change of an INT8 scale, except scales of weights in FP16's subnormal range: those weights are quantized
    again.
    """

    model: onnx.ModelProto
    precisions: Mapping[str, str]
    reasons: Mapping[str, str]
    casts: int
    subnormal: Mapping[str, int]
    zero: Mapping[str, int]
    scale_change: float

    def account(self) -> str:
        """Return the account as one sentence."""
        counts = Counter(self.precisions.values())
        words = [f"{counts[kind]} operators {kind.upper()}" for kind in ("int8", "fp16") if counts[kind]]
        if self.reasons:
            why = Counter(self.reasons[name] for name, kind in self.precisions.items() if kind == "fp32")
            words.append(f"{counts['fp32']} FP32 ({', '.join(f'{n} {reason}' for reason, n in why.most_common())})")
        words.append(f"{self.casts} Casts")
        for values, what in ((self.subnormal, "subnormal in FP16"), (self.zero, "zero in FP16")):
            if values:
                words.append(f"{sum(values.values())} weights {what}")
        if self.scale_change:
            words.append(f"scales changed by up to {self.scale_change:.2%}")
        return ", ".join(words)


def to_fp16(
    model: onnx.ModelProto, *, keep: Collection[str] = (), ranges: Mapping[str, float] | None = None
) -> Fp16Graph:
    """Return the model in FP16. The model itself is not changed.

    model is a canonical FP32 graph, or one with INT8 Q/DQ at opset 19, whose scales become FP16 too. keep names nodes
    that stay FP32. ranges maps tensors to their greatest magnitude: operators near the limit of FP16 also stay FP32;
    without ranges only constants are checked. Raises QuantizationError for a name that no node has, for Q/DQ that is
    not int8 with zero point 0 or whose scale FP16 cannot hold, and if nothing would become FP16.
    """
    opset = _require_convertible(model)
    prepared = with_unit_variance(model)
    view = GraphView(prepared)
    reasons = float32_reasons(view, opset, keep, ranges or {})
    made = Conversion(prepared, view, opset, reasons)
    if set(made.precisions.values()) <= {"fp32"}:
        raise QuantizationError("no operator would become FP16", expected="at least one", hint="keep fewer nodes")
    return Fp16Graph(
        model=made.result,
        precisions=made.precisions,
        reasons={name: why for name, why in reasons.items() if made.precisions.get(name) == "fp32"},
        casts=made.casts,
        subnormal=made.subnormal,
        zero=made.zero,
        scale_change=made.scale_change,
    )


def is_quantized(model: onnx.ModelProto) -> bool:
    """Return whether the graph has Q/DQ."""
    return any(node.op_type in QUANTIZERS for node in model.graph.node)


def is_fp16(model: onnx.ModelProto) -> bool:
    """Return whether a weight, scale or Cast of the graph is FP16."""
    if any(entry.data_type == TensorProto.FLOAT16 for entry in model.graph.initializer):
        return True
    return any(node.op_type == "Cast" and attribute(node, "to", 0) == TensorProto.FLOAT16 for node in model.graph.node)


def _require_convertible(model: onnx.ModelProto) -> int:
    if is_fp16(model):
        raise QuantizationError("the graph is FP16 already", hint="use the FP32 file that it was made from")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if is_quantized(model) and opset < QUANTIZED_FP16_OPSET:
        raise QuantizationError(
            "FP16 with Q/DQ needs a newer opset",
            got=f"opset {opset}",
            expected=f"{QUANTIZED_FP16_OPSET} or newer",
            hint="pass the INT8 file to rtseg build, which converts it",
        )
    if inner := [node_name(node) for node in model.graph.node if any(a.HasField("g") for a in node.attribute)]:
        raise QuantizationError("a subgraph cannot become FP16", got=inner[0], expected="plain operators")
    return int(opset)
