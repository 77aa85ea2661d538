"""The modules of ESPNet: batch normalisation with PReLU, and the efficient spatial pyramid.

Mehta, Rastegari, Caspi, Shapiro, Hajishirzi: "ESPNet: Efficient Spatial Pyramid of Dilated
Convolutions for Semantic Segmentation", ECCV 2018, section 3.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

EPSILON = 1e-3
"""Epsilon of ESPNet's batch normalisations, as in the official code. It matters: normalised images deviate by 1/255."""


class BNPReLU(nn.Sequential):
    """Batch normalisation and a PReLU with one slope per channel."""

    def __init__(self, channels: int, *, epsilon: float = 1e-5) -> None:
        super().__init__(nn.BatchNorm2d(channels, eps=epsilon), nn.PReLU(channels))


class ConvBNPReLU(nn.Sequential):
    """Convolution without bias, batch normalisation and a PReLU with one slope per channel.

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
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels, eps=epsilon),
            nn.PReLU(out_channels),
        )


class ESP(nn.Module):
    """Reduce, five dilated 3x3 convolutions side by side, hierarchical feature fusion, concatenation (Fig. 1).

    Each branch of a dilation above 1 gets the sum of those before it, which removes the gridding of large dilations;
    the undilated branch stays out of the sums. The reduction is a 1x1, with stride 2 a 3x3. The input is added where
    shapes allow.
    """

    DILATIONS = (1, 2, 4, 8, 16)

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        width = out_channels // len(self.DILATIONS)
        remainder = out_channels - width * (len(self.DILATIONS) - 1)
        kernel = 1 if stride == 1 else 3
        self.residual = stride == 1 and in_channels == out_channels
        self.reduce = nn.Conv2d(in_channels, width, kernel, stride, kernel // 2, bias=False)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, remainder if dilation == 1 else width, 3, padding=dilation, dilation=dilation, bias=False)
            for dilation in self.DILATIONS
        )
        self.out = BNPReLU(out_channels, epsilon=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size, rounded up, for stride 2, else at the same size."""
        reduced = self.reduce(x)
        undilated, *dilated = [branch(reduced) for branch in self.branches]
        merged = torch.cat([undilated, *accumulate(dilated)], 1)
        return self.out(x + merged if self.residual else merged)  # type: ignore[no-any-return]
