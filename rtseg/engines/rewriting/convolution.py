"""A convolution of a graph as numbers: its weights in float64, how it walks, and its copy with others."""

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
"""A map's channels are padded to a multiple of this, and one in a Concat begins at one (seen with 1.7.1)."""

PRODUCT_CHANNELS = 256
"""From so many channels in and out a 1x1 convolution is compiled as a matrix product (seen with 1.7.1)."""


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
        """Whether each value comes from one place of the map: 1x1, nothing padded, in one group. It may stride."""
        return self.kernel == (1, 1) and not any(self.pads) and self.group == 1

    @property
    def is_product(self) -> bool:
        """Whether TensorRT for RTX 1.7 makes a matrix product of it, which reads no map from within a Concat."""
        outputs, inputs = self.weight.shape[:2]
        return self.is_pointwise and self.strides == (1, 1) and min(outputs, inputs) >= PRODUCT_CHANNELS

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is computed from the same one."""
        return self.weight.shape[:2] == (self.group, 1)

    @property
    def walks_as(self) -> tuple[tuple[int, ...], ...]:
        """Everything but the numbers and the group."""
        return self.kernel, self.strides, self.pads, self.dilations

    def scaled(self, by: Affine) -> Convolution:
        """Return the convolution and the affine behind it as one."""
        weight = self.weight * by.scale[:, None, None, None]
        return replace(self, weight=weight, bias=self.bias * by.scale + by.shift)


def convolution_of(view: GraphView, node: onnx.NodeProto | None) -> Convolution | None:
    """Return a Conv over maps with constant weights; None for any other node, and for one that pads by itself."""
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
    """Add a convolution of the tensor source in the type of the tensor like; return the name of what it computes."""
    return change.add("Conv", _inputs(change, source, like, convolution, wanted), wanted, **_attributes(convolution))


def define_convolution(change: GraphChange, tensor: str, source: str, convolution: Convolution) -> None:
    """Let a convolution of source compute a tensor that the graph has, in the type which that has."""
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
