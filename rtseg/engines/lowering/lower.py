"""Lower an rtseg graph into the graph and the builder flags for a TensorRT version, as a pure function.

    the graph is      asked for   typed (TensorRT >= 10)          flags (TensorRT 8.5 to 9)   rtx (TensorRT for RTX)
    FP32              fp32        as it is                        as it is, no flag           as it is; 7.5: see below
                      fp16        FP16                            as it is, FP16              FP16
                      int8        refused: no Q/DQ                refused: no Q/DQ            refused: no Q/DQ
    FP32 with Q/DQ    fp32        refused: INT8 in the graph      refused: INT8 in the graph  refused: INT8 in the graph
                      fp16        refused: INT8 in the graph      refused: INT8 in the graph  refused: INT8 in the graph
                      int8        Q/DQ, FP16 elsewhere, opset 19  as it is, FP16 and INT8     as typed; 7.5: refused
    FP16              fp32        refused: FP16 in the graph      refused: not canonical      refused: FP16 in the graph
                      fp16        as it is                        refused: not canonical      as it is
                      int8        refused: no Q/DQ                refused: not canonical      refused: no Q/DQ
    FP16 with Q/DQ    fp32        refused: INT8 in the graph      refused: not canonical      refused: INT8 in the graph
                      fp16        refused: INT8 in the graph      refused: not canonical      refused: INT8 in the graph
                      int8        as it is                        refused: not canonical      as it is; 7.5: refused

TensorRT for RTX is always strongly typed. For compute capability 7.5 (Turing) it refuses FP32 matrix products, so a
product with a constant becomes a convolution (constant_products) and any other is refused here. For 7.5 it also
silently compiles INT8 to FP16 arithmetic, so INT8 for 7.5 is refused.

In the form flags, a LayerNormalization is rewritten in operators that TensorRT 8.5 supports (layer_norms).

INT8 always comes with FP16: with the INT8 flag alone, or with FP32 around the Q/DQ, the layers that are not INT8 would
be needlessly slow. In every cell the uint8 ends of a `labels` graph are rewritten for TensorRT (byte_ends).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import onnx

from rtseg.engines.lowering.byte_ends import with_float_ends
from rtseg.engines.lowering.constant_products import without_fp32_products
from rtseg.engines.lowering.layer_norms import without_layer_norms
from rtseg.engines.lowering.opset import raised_to_19
from rtseg.engines.lowering.product_precisions import product_precisions, with_named_products, with_plain_names
from rtseg.engines.lowering.versions import FLAGS, FORMS, RTX, TURING, Capability
from rtseg.errors import QuantizationError, UnknownNameError
from rtseg.graphs.identity import model_sha256
from rtseg.graphs.view import GraphView
from rtseg.quantization.fp16 import is_fp16, is_quantized, to_fp16
from rtseg.quantization.fp16_rules import float32_reasons
from rtseg.specs import PRECISIONS

BUILDER_FLAGS: Mapping[str, tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}
"""Names in TensorRT's BuilderFlag for each precision, for the form flags."""


@dataclass(frozen=True)
class Lowered:
    """A graph for one kind of TensorRT, and the builder flags that go with it.

    account is a sentence about the changes. products, for the form rtx, maps each convolution and matrix product to its
    precision in the graph. source_sha256 is the digest of the source graph, sha256 of this one, both of the protobuf
    bytes: for an rtseg file the first is the digest in its manifest.
    """

    model: onnx.ModelProto
    precision: str
    form: str
    builder_flags: tuple[str, ...]
    account: str
    source_sha256: str
    sha256: str
    products: Mapping[str, str] = field(default_factory=dict)


def lower(
    model: onnx.ModelProto,
    precision: str,
    form: str,
    *,
    keep: Collection[str] = (),
    ranges: Mapping[str, float] | None = None,
    capabilities: Collection[Capability] = (),
) -> Lowered:
    """Return the graph in that form, and the builder flags for that precision. The model is not changed.

    precision is fp32, fp16 or int8, form typed or flags (versions.form_for_release), or rtx, for which capabilities are
    the compute capabilities that the engine is for. keep and ranges are those of to_fp16: what stays FP32, by name and
    by the greatest magnitude of tensors. A flag applies to the whole graph, so the form flags refuses if either asks
    for FP32 inside. Raises QuantizationError for the combinations that the module's table refuses, UnknownNameError,
    and OnnxError for an operator that cannot be raised to opset 19.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if form not in FORMS:
        raise UnknownNameError("form", form, FORMS)
    _require_match(model, precision, form)
    if form == RTX and precision == "int8" and TURING in capabilities:
        raise QuantizationError(
            "INT8 for compute capability 7.5 is not built: TensorRT for RTX compiles it to FP16 arithmetic there",
            got="int8",
            expected="fp16 or fp32",
            hint="use --precision fp16 on the FP32 file, or another --compute-capability",
        )
    _require_signed(GraphView(model))
    ready = with_float_ends(model)
    words = [] if ready is model else ["uint8 ends cast from and to float32"]
    flags: tuple[str, ...] = ()
    if form == FLAGS:
        if precision != "fp32":
            _require_one_precision(ready, keep, ranges or {})
        ready, written = without_layer_norms(ready)
        if written:
            words.append(f"{written} LayerNormalization written as InstanceNormalization")
        flags = BUILDER_FLAGS[precision]
        words.append(f"builder flags {' and '.join(flags)}" if flags else "no builder flag")
    elif precision != "fp32" and not is_fp16(model):
        if precision == "int8":
            ready = raised_to_19(ready)
            words.append(f"opset {ready.opset_import[0].version}")
        half = to_fp16(ready, keep=keep, ranges=ranges)
        ready = half.model
        words.append(half.account())
    else:
        words.append("types as in the file")
    products: Mapping[str, str] = {}
    if form == RTX:
        if TURING in capabilities:
            ready, written = without_fp32_products(ready)
            if written:
                words.append(f"{written} FP32 matrix products written as convolutions")
        ready, odd = with_plain_names(with_named_products(ready))
        if odd:
            words.append(f"{odd} names replaced that the compiler's log cannot hold")
        products = product_precisions(ready)
    return Lowered(ready, precision, form, flags, "; ".join(words), model_sha256(model), model_sha256(ready), products)


def _require_match(model: onnx.ModelProto, precision: str, form: str) -> None:
    quantized, half = is_quantized(model), is_fp16(model)
    if half and form == FLAGS:
        raise QuantizationError(
            "TensorRT before 10 takes the canonical file and builder flags",
            got="a graph in FP16",
            expected="FP32 or INT8 with FP32 scales",
            hint="build the file that this one was made from",
        )
    if precision == "int8" and not quantized:
        raise QuantizationError(
            "INT8 is not in the graph", got="no Q/DQ", hint="run rtseg quantize ONNX --table T --to int8"
        )
    if precision != "int8" and quantized:
        raise QuantizationError(
            f"the graph is INT8, not {precision}",
            got="Q/DQ",
            hint="request int8, or build the FP32 file that this one was made from",
        )
    if precision == "fp32" and half:
        raise QuantizationError(
            "the graph is FP16, not fp32", hint="request fp16, or build the FP32 file that this one was made from"
        )


def _require_signed(view: GraphView) -> None:
    unsigned = [
        node.input[0]
        for node in view.nodes
        if node.op_type == "QuantizeLinear" and view.element_type(node.output[0]) == onnx.TensorProto.UINT8
    ]
    if unsigned:
        raise QuantizationError(
            "TensorRT has no unsigned INT8: the graph is placed for another runtime",
            got=f"{unsigned[0]} as uint8{f' and {len(unsigned) - 1} more' if len(unsigned) > 1 else ''}",
            expected="int8",
            hint="run rtseg quantize ONNX --table T --to int8 --target tensorrt",
        )


def _require_one_precision(model: onnx.ModelProto, keep: Collection[str], ranges: Mapping[str, float]) -> None:
    view = GraphView(model)
    opset = model.opset_import[0].version
    always = float32_reasons(view, opset, (), {})
    asked = {name: why for name, why in float32_reasons(view, opset, keep, ranges).items() if always.get(name) != why}
    if asked:
        name, why = next(iter(asked.items()))
        raise QuantizationError(
            "builder flags apply to the whole graph, but part of it must stay FP32",
            got=f"{name} ({why}){f' and {len(asked) - 1} more' if len(asked) > 1 else ''}",
            expected="none",
            hint="use TensorRT 10 or newer, or fp32",
        )
