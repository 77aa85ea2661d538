"""A convolution with constant weights: its weights in float64, its strides and pads, and copies with other weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from rtseg.engines.rewriting.places import Affine, in_type_of, is_map
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView, attribute

CHANNELS_TOGETHER = 8
"""The compiler pads a map's channels to a multiple of this; parts of a Concat begin at multiples (seen with 1.7.1)."""

PRODUCT_CHANNELS = 256
"""From this number of channels in and out, a 1x1 convolution is compiled as a matrix product (seen with 1.7.1)."""


@dataclass(frozen=True)
class Convolution:
    """weight: (out, in / group, height, width) and bias: (out,), both float64; pads: top, left, bottom, right."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int

    @property
    def kernel(self) -> tuple[int, ...]:
        """Height and width."""
        return self.weight.shape[2:]

    @property
    def is_pointwise(self) -> bool:
        """Whether it is a 1x1 convolution without padding, in one group. It may have strides."""
        return self.kernel == (1, 1) and not any(self.pads) and self.group == 1

    @property
    def is_product(self) -> bool:
        """Whether TensorRT for RTX 1.7 compiles it as a matrix product, which cannot read from within a Concat."""
        outputs, inputs = self.weight.shape[:2]
        return self.is_pointwise and self.strides == (1, 1) and min(outputs, inputs) >= PRODUCT_CHANNELS

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel is computed from the input channel of the same index."""
        return self.weight.shape[:2] == (self.group, 1)

    @property
    def walks_as(self) -> tuple[tuple[int, ...], ...]:
        """Kernel size, strides, pads and so on: everything except weights, bias and group."""
        return self.kernel, self.strides, self.pads, self.dilations

    def scaled(self, by: Affine) -> Convolution:
        """Return one convolution that computes this one and the affine after it."""
        weight = self.weight * by.scale[:, None, None, None]
        return replace(self, weight=weight, bias=self.bias * by.scale + by.shift)


def convolution_of(view: GraphView, node: onnx.NodeProto | None) -> Convolution | None:
    """Return a Conv over maps with constant weights; None for any other node, and for automatic padding."""
    if node is None or node.op_type != "Conv" or not all(view.is_constant(name) for name in node.input[1:] if name):
        return None
    if attribute(node, "auto_pad", b"NOTSET") != b"NOTSET" or not is_map(view, node.output[0]):
        return None
    weight = view.constant(node.input[1]).astype(np.float64)
    has_bias = len(node.input) > 2 and node.input[2]
    return Convolution(
        weight,
        view.constant(node.input[2]).astype(np.float64) if has_bias else np.zeros(weight.shape[0]),
        tuple(attribute(node, "strides", [1, 1])),
        tuple(attribute(node, "pads", [0, 0, 0, 0])),
        tuple(attribute(node, "dilations", [1, 1])),
        attribute(node, "group", 1),
    )


def pointwise(weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Convolution:
    """Return the 1x1 convolution with that weight, of shape (out, in)."""
    return Convolution(weight[:, :, None, None], bias, (1, 1), (0, 0, 0, 0), (1, 1), 1)


def add_convolution(change: GraphChange, source: str, like: str, convolution: Convolution, wanted: str) -> str:
    """Add a convolution of the tensor source in the type of the tensor like; return the name of its result."""
    return change.add("Conv", _inputs(change, source, like, convolution, wanted), wanted, **_attributes(convolution))


def define_convolution(change: GraphChange, tensor: str, source: str, convolution: Convolution) -> None:
    """Compute a tensor that the graph already has, in its type, by a convolution of source."""
    change.define(tensor, "Conv", _inputs(change, source, tensor, convolution, tensor), **_attributes(convolution))


def _inputs(change: GraphChange, source: str, like: str, convolution: Convolution, name: str) -> list[str]:
    weight = change.constant(f"{name}_weight", in_type_of(change.view, like, convolution.weight))
    if not convolution.bias.any():
        return [source, weight]
    return [source, weight, change.constant(f"{name}_bias", in_type_of(change.view, like, convolution.bias))]


def _attributes(convolution: Convolution) -> dict[str, int | Sequence[int]]:
    return {
        "kernel_shape": convolution.kernel,
        "strides": convolution.strides,
        "pads": convolution.pads,
        "dilations": convolution.dilations,
        "group": convolution.group,
    }
