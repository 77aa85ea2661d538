"""Determine the kind of work and the precision of a layer from the inspector's text.

Work, by the first rule that holds:

    none              LayerType NoOp, Constant, shape_call, signal, wait, reshape: the layer computes nothing
    quantization      a QuantizeLinear or DequantizeLinear that stands alone: a Reformat whose Origin is QDQ; LayerType
                      Quantize or Dequantize; a Scale with INT8 on one side only; or all operators are Q or DQ
    reformat          any other Reformat: the same values in another type or format
    convolution       ParameterType or LayerType names a convolution (correlation is one), transposed ones included; or
                      a fused kernel (kgen, fusion, ...) whose tactic or name contains one
    matrix product    LayerType is gemm, MatrixMultiply or FullyConnected, or a fused kernel whose tactic or name
                      contains one
    other             pooling, pointwise, resize, softmax, ...

Precision:

    reformat and quantization    "conversion": they compute nothing
    convolution, matrix product  the type of the products: INT8 and FP8 by the first input; then the tactic's name
                                 (f16f16_f16f32 is FP16, f32f32_tf32f32 is TF32, whose tensors are FP32); then the
                                 first input's type; then the weights' type
    other                        the widest type of its inputs and outputs, because it has to compute in that type;
                                 scalars, such as scales, and integers do not count

"integer" is a layer without a floating-point or INT8 tensor, "unknown" one without known types, as in an engine with
dynamic shapes that was saved without an execution context.
"""

from __future__ import annotations

import re

from rtseg.engines.formats import UNKNOWN
from rtseg.engines.generated_kernels import convolves, multiplies_matrices, only_moves, operations
from rtseg.engines.inspector import EngineLayer

CONVERSION = "conversion"
INTEGER = "integer"
NO_WORK, QUANTIZATION, REFORMAT = "none", "quantization", "reformat"
CONVOLUTION, MATRIX_PRODUCT, OTHER = "convolution", "matrix product", "other"
WEIGHTED = frozenset({CONVOLUTION, MATRIX_PRODUCT})
LAYER_PRECISIONS = ("int8", "int4", "fp8", "fp4", "fp16", "bf16", "tf32", "fp32", INTEGER, CONVERSION, UNKNOWN)
"""All precisions, in the order of reports."""

FLOATS = frozenset({"fp16", "bf16", "tf32", "fp32"})
QUANTIZED = frozenset({"int8", "int4", "fp8", "fp4"})
_WIDEST_FIRST = ("fp32", "bf16", "fp16", "fp8", "int8", "fp4", "int4")

_NO_WORK_KINDS = frozenset({"noop", "constant", "shape_call", "signal", "wait", "reshape"})
_FUSED_KINDS = frozenset({"kgen", "fusion", "myelin", "runtime_fusion", "runtime_function"})
_QDQ_KINDS = frozenset({"quantize", "dequantize", "quantizelinear", "dequantizelinear"})
_QDQ_NAME = re.compile(r"(quantize|dequantize)linear", re.IGNORECASE)
_CONVOLUTION = re.compile(r"conv|^correlation$", re.IGNORECASE)
_MATRIX_PRODUCT = re.compile(r"gemm|matmul|matrix|fullyconnected|^fc$", re.IGNORECASE)
_PRODUCT_NAME = re.compile(r"(?:^|/)(?:conv|gemm|matmul)[^/:.]*$", re.IGNORECASE)
_CONVOLUTION_TACTIC = re.compile(r"_fprop_|_dgrad_|conv", re.IGNORECASE)
_MATRIX_PRODUCT_TACTIC = re.compile(r"gemm", re.IGNORECASE)

# xmma kernels spell the types of A and of the output, then those that are multiplied and added: i8f32_i8i32_f32.
_TYPES = r"(?:bf16|f16|tf32|f32|i8|e4m3|e5m2)"
_XMMA_TACTIC = re.compile(rf"_{_TYPES}{_TYPES}_(bf16|f16|tf32|f32|i8|e4m3|e5m2)(?:f16|f32|i32)_")
_XMMA_TYPES = {
    "i8": "int8",
    "f16": "fp16",
    "bf16": "bf16",
    "tf32": "tf32",
    "f32": "fp32",
    "e4m3": "fp8",
    "e5m2": "fp8",
}
_OLDER_TACTICS = (
    (re.compile(r"int8|_i\d{3,6}|imma", re.IGNORECASE), "int8"),
    (re.compile(r"_[hs]\d{3,6}(?!\d)|hmma|hgemm|hcudnn|fp16", re.IGNORECASE), "fp16"),
    (re.compile(r"scudnn|sgemm", re.IGNORECASE), "fp32"),
)
"""Kernels from cuDNN and cuBLAS: turing_h1688cudnn, volta_s884gemm, ampere_scudnn."""


def is_quantization_name(operator: str) -> bool:
    """Return whether an operator is a QuantizeLinear or DequantizeLinear by its name."""
    return _QDQ_NAME.search(operator) is not None


def work_of(layer: EngineLayer) -> str:
    """Return the layer's kind of work: one of the words in the module's first table."""
    kind = layer.kind.lower()
    if kind in _NO_WORK_KINDS:
        return NO_WORK
    if _stands_alone(layer):
        return QUANTIZATION
    if kind == "reformat":
        return REFORMAT
    if _CONVOLUTION.search(layer.operation) or _CONVOLUTION.search(layer.kind):
        return CONVOLUTION
    if _MATRIX_PRODUCT.search(layer.operation) or _MATRIX_PRODUCT.search(layer.kind):
        return MATRIX_PRODUCT
    if kind in _FUSED_KINDS:
        if _CONVOLUTION_TACTIC.search(layer.tactic) or convolves(layer.name):
            return CONVOLUTION
        if _MATRIX_PRODUCT_TACTIC.search(layer.tactic) or multiplies_matrices(layer.name):
            return MATRIX_PRODUCT
    return OTHER


def precision_of(layer: EngineLayer) -> str:
    """Return the precision of a layer that does work: one of LAYER_PRECISIONS, by the module's second table."""
    work = work_of(layer)
    if work in (QUANTIZATION, REFORMAT):
        return CONVERSION
    return _of_products(layer) if work in WEIGHTED else _of_tensors(layer)


def reads_quantized(layer: EngineLayer) -> bool:
    """Return whether the graph quantizes the layer's input: a Q or DQ comes before another of its operators.

    A Q after all others quantizes the output, which a floating-point convolution may do too.
    """
    quantization = [is_quantization_name(operator) for operator in layer.operators]
    return any(before and not all(quantization[index:]) for index, before in enumerate(quantization))


def product_operator(layer: EngineLayer) -> str:
    """Return the name of the convolution or matrix product in a layer, else the layer's own name."""
    named = (operator for operator in layer.operators if _PRODUCT_NAME.search(operator))
    return next((operator for operator in named if not is_quantization_name(operator)), layer.name)


def _stands_alone(layer: EngineLayer) -> bool:
    kind = layer.kind.lower()
    if kind in _QDQ_KINDS or (kind == "reformat" and layer.origin.upper() == "QDQ"):
        return True
    if kind == "scale":
        sides = [any(tensor.data_type == "int8" for tensor in side) for side in (layer.inputs, layer.outputs)]
        return sides[0] != sides[1]
    if operations(layer.name) and not only_moves(layer.name):
        return False  # its name lists more operators than the metadata
    return bool(layer.operators) and all(map(is_quantization_name, layer.operators))


def _of_products(layer: EngineLayer) -> str:
    first = layer.inputs[0].data_type if layer.inputs else UNKNOWN
    if first in QUANTIZED:
        return first
    if types := _XMMA_TACTIC.search(layer.tactic):
        return _XMMA_TYPES[types[1]]
    for pattern, precision in _OLDER_TACTICS:
        if pattern.search(layer.tactic):
            return precision
    for data_type in (first, layer.weights):
        if data_type in FLOATS or data_type in QUANTIZED:
            return data_type
    return UNKNOWN


def _of_tensors(layer: EngineLayer) -> str:
    tensors = [*layer.inputs, *layer.outputs]
    types = {tensor.data_type for tensor in tensors if not tensor.is_scalar} or {t.data_type for t in tensors}
    for data_type in _WIDEST_FIRST:
        if data_type in types:
            return data_type
    return UNKNOWN if not types or UNKNOWN in types else INTEGER
