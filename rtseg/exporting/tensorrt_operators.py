"""The operators that TensorRT 8.5, the oldest version that rtseg supports, can parse.

From the support matrix of onnx-tensorrt at its release for 8.5.3 (docs/operators.md). Newer versions parse more, never
less.
"""

from __future__ import annotations

import onnx

_NAMES = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip
Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout
Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool
GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GRU HardSwish HardSigmoid Identity If ImageScaler
InstanceNormalization IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax Loop LRN LSTM LpNormalization LpPool MatMul
Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or Pad
ParametricSoftplus Pow PRelu QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range
Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare Relu Reshape Resize ReverseSequence RNN RoiAlign Round ScaledTanh Scan Scatter ScatterElements
ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
TENSORRT_8_5_OPERATORS = frozenset(_NAMES.split())

WRITTEN_OTHERWISE = frozenset({"LayerNormalization"})
"""Operators that a graph may contain anyway: for TensorRT 8.5, rtseg.engines.lowering replaces them."""

RESIZE_MODES = frozenset({"nearest", "linear"})
RESIZE_TRANSFORMATIONS = frozenset(
    {"half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"}
)


def unsupported_operators(model: onnx.ModelProto) -> list[str]:
    """Return what TensorRT 8.5 does not support, each once: operators, and Resize in a mode that it lacks."""
    found = {node.op_type for node in model.graph.node} - TENSORRT_8_5_OPERATORS - WRITTEN_OTHERWISE
    for node in model.graph.node:
        if node.op_type == "Resize":
            values = {entry.name: entry.s.decode() for entry in node.attribute if entry.type == entry.STRING}
            mode = values.get("mode", "nearest")
            transformation = values.get("coordinate_transformation_mode", "half_pixel")
            if mode not in RESIZE_MODES or transformation not in RESIZE_TRANSFORMATIONS:
                found.add(f"Resize ({mode}, {transformation})")
    return sorted(found)
