"""S2-FPN's fusion and upsampling with the same values, in the operators that a GPU's compiler fuses.

A map that is upsampled by gathers is written directly into the concatenation. Both attentions read their map once: the
mean of a channel is the mean of its columns' means. The gates are written so that no convolution fuses with a part of
them: then all of them, and the sum, are one kernel, which reads three maps and writes one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.zoo.folding import folded_normalization
from rtseg.networks.zoo.gathered_resize import upsampled
from rtseg.networks.zoo.layers import resize_to, spatial_size
from rtseg.networks.zoo.s2fpn_modules import (
    AttentionPyramidFusion,
    ChannelAttention,
    GlobalFeatureUpsample,
    ScaleAwareStripAttention,
)


class GatedFusion(nn.Module):
    """APF of one picture."""

    def __init__(self, fusion: AttentionPyramidFusion) -> None:
        super().__init__()
        self.lateral, self.refine = fusion.lateral, fusion.refine
        self.high, self.low, self.out = fusion.high, fusion.low, fusion.out
        self.attention = JointAttention(fusion.strip_attention, fusion.channel_attention)

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fused map and the gated sum it is made of. high is the coarser, deeper map."""
        low = self.lateral(low)
        high = upsampled(high, spatial_size(low))
        refined = self.refine(torch.cat([low, high], 1))
        context, scale = self.attention(refined)
        high, low = self.high(high), self.low(low)
        # relu(context + rest * refined) * high, as high is not negative.
        strips = F.relu(context * high + self.attention.rest * (refined * high))
        gated = strips + (refined * low) * scale
        return self.out(gated), gated


class JointAttention(nn.Module):
    """The weights of SSAM and of CRB for one map, from one pass over it."""

    def __init__(self, strips: ScaleAwareStripAttention, channels: ChannelAttention) -> None:
        super().__init__()
        gamma = strips.gamma.detach()
        self.rest = float(1 - gamma)
        norms = [folded_normalization(norm) for norm in (strips.norm_average, strips.norm_maximum)]
        shared = _product(strips.shared).T
        self.shared = nn.Parameter(torch.stack([shared * scale for scale, _ in norms]))
        self.shift = nn.Parameter(torch.stack([shift for _, shift in norms])[:, None])
        self.context = nn.Parameter(_product(strips.out).T * gamma)
        self.squeeze, self.excite = (nn.Parameter(_product(conv)) for conv in (channels.squeeze, channels.excite))
        self.is_average: Tensor
        self.register_buffer("is_average", torch.tensor([True, False]).view(2, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each column's context, (1, channels, 1, width), and each channel's scale, (1, channels, 1, 1).

        The context is already weighted by gamma; the map that it is added to must be weighted by rest.
        """
        pixels = x.permute(0, 2, 3, 1)[0]
        pooled = torch.where(self.is_average, pixels.mean(0), pixels.amax(0))
        return self._context(pooled).T[None, :, None], self._scale(pooled[0]).view(1, -1, 1, 1)

    def _context(self, pooled: Tensor) -> Tensor:
        """Return (width, channels) for each column's mean and maximum, (2, width, channels)."""
        average, maximum = pooled @ self.shared + self.shift
        product = average * maximum
        highest = product.amax(1, keepdim=True)
        total = torch.exp(product - highest).sum(1, keepdim=True)
        # Of the softmax over channels two are wanted; their slices would be another kernel behind it.
        of_average, of_maximum = (
            torch.exp(average[:, index : index + 1] * maximum[:, index : index + 1] - highest) / total
            for index in range(2)
        )
        return (of_average * average + of_maximum * maximum) @ self.context  # type: ignore[no-any-return]

    def _scale(self, averages: Tensor) -> Tensor:
        """Return (channels,) for the columns' means, (width, channels)."""
        hidden = torch.relu((averages.mean(0) * self.squeeze).sum(1))
        return torch.sigmoid((hidden * self.excite).sum(1))


class EarlyUpsample(nn.Module):
    """GFU with the coarse map's 1x1 convolution before its upsampling, which is a quarter of the work."""

    def __init__(self, upsample: GlobalFeatureUpsample) -> None:
        super().__init__()
        self.high, self.guide, self.out = upsample.high, upsample.guide, upsample.out

    def forward(self, guide: Tensor, high: Tensor) -> Tensor:
        """Return features of guide's shape."""
        high = F.relu(resize_to(self.high(high), spatial_size(guide), align_corners=True))
        return self.out(self.guide(guide) + high)  # type: ignore[no-any-return]


def _product(conv: nn.Conv2d) -> Tensor:
    """Return the matrix (outputs, inputs) of a 1x1 convolution."""
    return conv.weight.detach()[:, :, 0, 0]
