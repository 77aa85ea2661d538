"""One decision for each operator that changed between opset 11 and the newest that onnx knows.

onnx.version_converter is not used. Downwards it cannot convert Split, Pad, GroupNormalization and most new operators,
and it keeps dilated averages and the axes of a Resize as if opset 17 had them. Upwards it writes a Softmax of opset 11
with a Shape. An operator of a newer onnx without a decision here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

from rtseg.exporting.opset_lowering.activations import lower_gelu, lower_mish, lower_softmax, lower_swiglu, lower_swish
from rtseg.exporting.opset_lowering.attention import lower_attention
from rtseg.exporting.opset_lowering.deformable import lower_deform_conv
from rtseg.exporting.opset_lowering.elementary import (
    lower_cast,
    lower_cast_like,
    lower_dft,
    lower_mod,
    lower_range,
    lower_scatter,
)
from rtseg.exporting.opset_lowering.normalizations import (
    lower_batch_normalization,
    lower_group_normalization,
    lower_rms_normalization,
)
from rtseg.exporting.opset_lowering.older import lower_dropout, lower_roi_align
from rtseg.exporting.opset_lowering.pieces import (
    lower_center_crop_pad,
    lower_col2im,
    lower_pad,
    lower_split,
    lower_split_attribute,
)
from rtseg.exporting.opset_lowering.pools import lower_average_pool, lower_lp_pool, lower_max_pool
from rtseg.exporting.opset_lowering.quantizers import lower_dequantizer, lower_quantizer
from rtseg.exporting.opset_lowering.reductions import lower_axes_attribute, lower_reduction
from rtseg.exporting.opset_lowering.rotary import lower_rotary_embedding
from rtseg.exporting.opset_lowering.sampling import lower_affine_grid, lower_grid_sample, lower_resize
from rtseg.exporting.opset_lowering.site import Site

Lowering = Callable[[Site], None]
"""A function that writes one operator at opset 17. Raises OnnxError if it has no form there."""

_SAME = """
Acos Acosh Asin Asinh Atan Atanh Bernoulli BitShift Celu Compress Constant ConstantOfShape Conv ConvTranspose
Cos Cosh DepthToSpace Det Dropout Einsum Elu Equal EyeLike Flatten GRU GlobalAveragePool GlobalLpPool
GlobalMaxPool HardSigmoid HardSwish Identity InstanceNormalization IsInf IsNaN LSTM LpNormalization
MaxRoiPool MaxUnpool Multinomial NegativeLogLikelihoodLoss OneHot QLinearMatMul RNN RandomNormal
RandomNormalLike RandomUniform RandomUniformLike Reshape ReverseSequence RoiAlign Round Selu Shape Sin Sinh Size
Softplus Softsign SpaceToDepth Squeeze Tan ThresholdedRelu TopK Transpose Unique Unsqueeze
"""
SAME = frozenset(_SAME.split())
"""Operators whose versions after opset 17 only add types, or attributes whose defaults keep the old meaning."""

NEWER: Mapping[str, Lowering] = {
    "AffineGrid": lower_affine_grid,
    "Attention": lower_attention,
    "AveragePool": lower_average_pool,
    "Cast": lower_cast,
    "CastLike": lower_cast_like,
    "CenterCropPad": lower_center_crop_pad,
    "Col2Im": lower_col2im,
    "DFT": lower_dft,
    "DeformConv": lower_deform_conv,
    "DequantizeLinear": lower_dequantizer,
    "Gelu": lower_gelu,
    "GridSample": lower_grid_sample,
    "GroupNormalization": lower_group_normalization,
    "LpPool": lower_lp_pool,
    "MaxPool": lower_max_pool,
    "Mish": lower_mish,
    "Mod": lower_mod,
    "Pad": lower_pad,
    "QuantizeLinear": lower_quantizer,
    "RMSNormalization": lower_rms_normalization,
    "Range": lower_range,
    "Resize": lower_resize,
    "RotaryEmbedding": lower_rotary_embedding,
    "ScatterElements": lower_scatter,
    "ScatterND": lower_scatter,
    "Split": lower_split,
    "SwiGLU": lower_swiglu,
    "Swish": lower_swish,
    **{
        f"Reduce{name}": lower_reduction
        for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
    },
}
"""The function for each operator that is newer than opset 17, or that has another form there."""

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("If", "Loop", "Scan"), "a graph within the graph"),
    **dict.fromkeys(("Optional", "OptionalGetElement", "OptionalHasElement"), "values that may be missing"),
    **dict.fromkeys(("RegexFullMatch", "StringConcat", "StringSplit"), "strings"),
    **dict.fromkeys(("BitCast", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"), "the bits of a number"),
    **dict.fromkeys(("CausalConvWithState", "LinearAttention", "TensorScatter"), "a state kept between pictures"),
    "CumProd": "products of all values before",
    "ImageDecoder": "a picture in a file's format",
    "SplitToSequence": "a list of tensors",
}
"""Operators without a form at opset 17, with what opset 17 lacks."""

OLDER: Mapping[str, tuple[int, Lowering]] = {
    "BatchNormalization": (14, lower_batch_normalization),
    "Dropout": (12, lower_dropout),
    "Hardmax": (13, lower_softmax),
    "LogSoftmax": (13, lower_softmax),
    "ReduceSum": (13, lower_axes_attribute),
    "RoiAlign": (16, lower_roi_align),
    "Softmax": (13, lower_softmax),
    "Split": (13, lower_split_attribute),
    "Squeeze": (13, lower_axes_attribute),
    "Unsqueeze": (13, lower_axes_attribute),
}
"""For each operator: the opset that changed its meaning, and the function for the older form. The others only grew."""
