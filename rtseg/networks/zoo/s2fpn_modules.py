"""The modules of S2-FPN: pyramid fusion with its two attentions, and the upsampling path.

Elhassan et al., arXiv 2206.07298, the four architecture figures. Where a figure and the published
code differ, the code is followed: its checkpoints and its results come from it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.zoo.layers import ConvBNAct, resize_to, spatial_size

DROPOUT = 0.15


class ScaleAwareStripAttention(nn.Module):
    """SSAM: each column's maximum and mean, weighted against each other, return as context.

    A strip is the whole height at one place of the width. The figure shows pooling, one shared 1x1,
    product, softmax and the gated sum; the batch normalisations, the last 1x1, the dropout, and a
    softmax over channels of which the first two serve as the weights, are the code's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.shared = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_maximum = nn.BatchNorm2d(channels)
        self.norm_average = nn.BatchNorm2d(channels)
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Return x mixed with the context of its columns; relu(x) as long as gamma is 0."""
        maximum = self.norm_maximum(self.shared(x.amax(2, keepdim=True)))
        average = self.norm_average(self.shared(x.mean(2, keepdim=True)))
        weights = torch.softmax(maximum * average, 1)
        strips = weights[:, 0:1] * average + weights[:, 1:2] * maximum
        context = self.dropout(self.out(strips))
        return F.relu(self.gamma * context + (1 - self.gamma) * x)


class ChannelAttention(nn.Module):
    """CRB, the channel-wise reweighting block: squeeze and excitation without biases or normalisation."""

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.excite = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x weighted by channel."""
        average = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(average))))


class AttentionPyramidFusion(nn.Module):
    """APF: join a map with one of twice its size; each attention gates one of the two paths."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lateral = ConvBNAct(in_channels, in_channels, 1)
        self.refine = nn.Sequential(
            ConvBNAct(2 * in_channels, out_channels, 1), ConvBNAct(out_channels, out_channels, 3)
        )
        self.high = ConvBNAct(in_channels, out_channels, 3)
        self.low = ConvBNAct(in_channels, out_channels, 3)
        self.strip_attention = ScaleAwareStripAttention(out_channels)
        self.channel_attention = ChannelAttention(out_channels)
        self.out = ConvBNAct(out_channels, out_channels, 3)

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fused map and the gated sum it is made of, which the auxiliary head reads.

        Both have out_channels and low's size. high is the coarser, deeper map.
        """
        low = self.lateral(low)
        high = resize_to(high, spatial_size(low))
        refined = self.refine(torch.cat([low, high], 1))
        gated = self.strip_attention(refined) * self.high(high) + self.channel_attention(refined) * self.low(low)
        return self.out(gated), gated


class GlobalFeatureUpsample(nn.Module):
    """GFU: add the coarser decoder map to the pyramid map of the next size.

    The figure ends the coarse path in an average pooling; in the code its window is 1x1.
    """

    def __init__(self, high_channels: int, channels: int) -> None:
        super().__init__()
        self.high = nn.Conv2d(high_channels, channels, 1, bias=False)
        self.guide = ConvBNAct(channels, channels, 1)
        self.out = ConvBNAct(channels, channels, 1)

    def forward(self, guide: Tensor, high: Tensor) -> Tensor:
        """Return features of guide's shape."""
        high = F.relu(self.high(resize_to(high, spatial_size(guide), align_corners=True)))
        return self.out(self.guide(guide) + high)  # type: ignore[no-any-return]


class AuxiliaryHead(nn.Sequential):
    """The training output of one fusion: 3x3, dropout, 1x1 to class logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            ConvBNAct(channels, channels, 3), nn.Dropout(DROPOUT), nn.Conv2d(channels, classes, 1, bias=False)
        )
