"""Atrous spatial pyramid pooling, as the DeepLab family has it.

Chen, Papandreou, Schroff, Adam: "Rethinking Atrous Convolution for Semantic Image Segmentation",
arXiv 1706.05587, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.networks.zoo.layers import resize_to, spatial_size


class BiasedConvBNAct(nn.Sequential):
    """Convolution with bias, batch normalisation and ReLU, at the size of its input.

    The normalisation makes the bias redundant, but the networks whose published parameter counts are matched have it.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, 1, kernel // 2 * dilation, dilation),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class AtrousSpatialPyramidPooling(nn.Module):
    """1x1, three dilated 3x3 and the mean of the whole map side by side, merged by a 1x1."""

    RATES = (6, 12, 18)

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.point = BiasedConvBNAct(in_channels, out_channels, 1)
        self.atrous = nn.ModuleList(BiasedConvBNAct(in_channels, out_channels, 3, dilation=rate) for rate in self.RATES)
        self.image = BiasedConvBNAct(in_channels, out_channels, 1)
        self.merge = BiasedConvBNAct(out_channels * (2 + len(self.RATES)), out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return out_channels features of x's own size."""
        image = resize_to(self.image(x.mean((2, 3), keepdim=True)), spatial_size(x), align_corners=True)
        maps = [self.point(x), *(atrous(x) for atrous in self.atrous), image]
        return self.merge(torch.cat(maps, 1))  # type: ignore[no-any-return]
