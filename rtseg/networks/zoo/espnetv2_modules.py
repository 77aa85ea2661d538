"""The modules of ESPNetv2: depthwise dilated pyramids, with and without stride, and the pooling of the decoder.

Mehta, Rastegari, Shapiro, Hajishirzi: "ESPNetv2: A Light-weight, Power Efficient, and General
Purpose Convolutional Neural Network", CVPR 2019, section 3. Where the paper and the published code
differ, the code is followed: its weights come from it.
"""

from __future__ import annotations

from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.zoo.espnet_modules import BNPReLU, ConvBNPReLU
from rtseg.networks.zoo.layers import ConvBNAct, resize_to, spatial_size

Dilations = tuple[int, int, int, int]

WIDE: Dilations = (1, 2, 3, 4)
"""For maps down to 1/8: receptive fields of 3, 5, 7 and 9 pixels."""

NARROW: Dilations = (1, 1, 2, 3)
"""For maps of 1/16, and after them: no receptive field beyond 7 pixels."""


class DepthwisePyramid(nn.Module):
    """Grouped 1x1, four depthwise dilated 3x3 side by side, hierarchical feature fusion, grouped 1x1 (Fig. 1c).

    There are as many groups as branches. Each branch is added to those before it.
    """

    def __init__(self, in_channels: int, out_channels: int, *, dilations: Dilations, stride: int = 1) -> None:
        super().__init__()
        groups = len(dilations)
        width = out_channels // groups
        self.reduce = ConvBNPReLU(in_channels, width, 1, groups=groups)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, dilation, dilation, groups=width, bias=False) for dilation in dilations
        )
        self.norm = BNPReLU(out_channels)
        self.expand = ConvBNAct(out_channels, out_channels, 1, groups=groups, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, not yet activated, at half the size, rounded up, for stride 2, else at the same size."""
        reduced = self.reduce(x)
        fused = torch.cat(list(accumulate(branch(reduced) for branch in self.branches)), 1)
        return self.expand(self.norm(fused))  # type: ignore[no-any-return]


class EESP(nn.Module):
    """The unit of the stages: a pyramid, the input added where it has as many channels, PReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, dilations: Dilations) -> None:
        super().__init__()
        self.residual = in_channels == out_channels
        self.pyramid = DepthwisePyramid(in_channels, out_channels, dilations=dilations)
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        out = self.pyramid(x)
        return self.act(out + x if self.residual else out)  # type: ignore[no-any-return]


class StridedEESP(nn.Module):
    """The unit between stages: average pooling beside a strided pyramid, concatenated, and the image added (Fig. 2)."""

    def __init__(self, in_channels: int, out_channels: int, *, dilations: Dilations) -> None:
        super().__init__()
        self.pyramid = DepthwisePyramid(in_channels, out_channels - in_channels, dilations=dilations, stride=2)
        self.reinforce = nn.Sequential(ConvBNPReLU(3, 3, 3), ConvBNAct(3, out_channels, 1, act=False))
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Return features at half of x's size, rounded up, which must already be the image's size."""
        merged = torch.cat([halved(x), self.pyramid(x)], 1)
        return self.act(merged + self.reinforce(image))  # type: ignore[no-any-return]


class DepthwisePyramidPooling(nn.Module):
    """The decoder's pyramid pooling: the map halved four times, a depthwise 3x3 on each, all merged."""

    LEVELS = 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False) for _ in range(self.LEVELS)
        )
        self.merge = ConvBNPReLU(channels * (1 + self.LEVELS), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x's own shape."""
        maps = [x]
        pooled = x
        for level in self.levels:
            pooled = halved(pooled)
            maps.append(resize_to(level(pooled), spatial_size(x), align_corners=True))
        return self.merge(torch.cat(maps, 1))  # type: ignore[no-any-return]


def halved(x: Tensor) -> Tensor:
    """Return x average-pooled by 3x3 to half its size, rounded up; the padding counts as zeros."""
    return F.avg_pool2d(x, 3, 2, 1)
