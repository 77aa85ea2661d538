"""Building blocks that several networks share. Shapes are (batch, channels, height, width)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rtseg.frame.bilinear import Axis


class ConvBNAct(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless act is False, ReLU.

    The padding keeps height and width at stride 1 and gives their half, rounded up, at stride 2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        if act:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class DepthwiseSeparableConv(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1, each with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__(
            ConvBNAct(in_channels, in_channels, 3, stride=stride, groups=in_channels),
            ConvBNAct(in_channels, out_channels, 1),
        )


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand 1x1, depthwise 3x3, project 1x1; a residual where shapes allow."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.block = nn.Sequential(
            ConvBNAct(in_channels, hidden, 1),
            ConvBNAct(hidden, hidden, 3, stride=stride, groups=hidden),
            ConvBNAct(hidden, out_channels, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size for stride 2, else at the same size."""
        out: Tensor = self.block(x)
        return x + out if self.residual else out


class PyramidPooling(nn.Module):
    """Spatial pyramid pooling (Zhao et al., PSPNet, section 3.2): average over 1, 2, 3 and 6 bins a side."""

    BINS = (1, 2, 3, 6)

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = in_channels // len(self.BINS)
        self.levels = nn.ModuleList(ConvBNAct(in_channels, width, 1) for _ in self.BINS)
        self.merge = ConvBNAct(in_channels + width * len(self.BINS), out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return out_channels features of x's own size."""
        maps = [x]
        for bins, level in zip(self.BINS, self.levels):
            maps.append(resize_to(level(adaptive_average_pool(x, bins)), spatial_size(x)))
        return self.merge(torch.cat(maps, 1))  # type: ignore[no-any-return]


def spatial_size(x: Tensor) -> tuple[int, int]:
    """Return (height, width) as plain integers, so that a traced graph holds constants."""
    return int(x.shape[-2]), int(x.shape[-1])


def resize_to(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Return x bilinearly resized to (height, width); x itself when it has that size."""
    if spatial_size(x) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def adaptive_average_pool(x: Tensor, bins: int) -> Tensor:
    """Return F.adaptive_avg_pool2d(x, bins), computed as two products with constant matrices.

    Adaptive pooling is linear. In this form it exports to static ONNX for any size, also if the bins do not divide the
    map, which exporters cannot express as pooling.
    """
    height, width = spatial_size(x)
    rows = torch.from_numpy(bin_weights(height, bins)).to(x)
    columns = torch.from_numpy(bin_weights(width, bins)).to(x)
    return rows @ (x @ columns.T)


def bin_weights(length: int, bins: int) -> NDArray[np.float32]:
    """Return the matrix (bins, length) that averages each bin; in NumPy, because tracing would record torch's work."""
    weights = np.zeros((bins, length), np.float32)
    for index in range(bins):
        start = index * length // bins
        end = -(-(index + 1) * length // bins)
        weights[index, start:end] = 1 / (end - start)
    return weights


def bilinear_weights(inputs: int, outputs: int, *, align_corners: bool = False) -> NDArray[np.float32]:
    """Return the matrix (outputs, inputs) that resizes a signal bilinearly, as torch does by either rule."""
    axis = Axis.of(inputs, outputs, align_corners=align_corners)
    weights = np.zeros((outputs, inputs), np.float32)
    index = np.arange(outputs)
    np.add.at(weights, (index, axis.near), axis.near_weight)
    np.add.at(weights, (index, axis.far), axis.far_weight)
    return weights


def initialize(module: nn.Module) -> None:
    """Initialise convolutions as He et al. (2015), fan-out; batch normalisation with one and zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
