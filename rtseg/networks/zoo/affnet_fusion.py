"""The attention feature fusion module of AFFNet, and the four wirings it was compared with.

Kuang et al., section III-B and Tables I and II. An attention branch (CBAM) and a pooling branch
(5x5 maximum) each bring every input to 1/8 and fuse them; the sum of both is the result.
The paper states the kernels 1, 3 and 5, the 128 channels and the operations; the wiring of the
compared variants is inferred from their printed parameter counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.zoo.layers import ConvBNAct, resize_to, spatial_size

CHANNELS = 128


class ChannelSpatialAttention(nn.Module):
    """CBAM (Woo et al., 2018) as drawn in AFFNet's Figures 3 and 4, with a residual add."""

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        hidden = channels // reduction
        self.shared = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, channels, 1, bias=False)
        )
        self.spatial = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x weighted by channel and by place, plus x."""
        average = x.mean((2, 3), keepdim=True)
        maximum = x.amax((2, 3), keepdim=True)
        weighted = x * torch.sigmoid(self.shared(average) + self.shared(maximum))
        profile = torch.cat([weighted.amax(1, keepdim=True), weighted.mean(1, keepdim=True)], 1)
        return x + weighted * torch.sigmoid(self.spatial(profile))


class PooledFeatures(nn.Sequential):
    """The pooling branch of one input: 1x1 convolution to 128 channels, maximum over 5x5."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(ConvBNAct(in_channels, CHANNELS, 1), maximum_5x5())


class AttendedFeatures(nn.Sequential):
    """The attention branch of one input, brought to 128 channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(ChannelSpatialAttention(in_channels), _widen(in_channels))


class Branch(nn.Module):
    """Prepare each input by its own module, bring all to the first one's size, join and merge them."""

    def __init__(self, prepare: Sequence[nn.Module], join: Callable[[list[Tensor]], Tensor], merge: nn.Module) -> None:
        super().__init__()
        self.prepare = nn.ModuleList(prepare)
        self.join = join
        self.merge = merge

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the merged features at the size of the first and largest input."""
        size = spatial_size(features[0])
        return self.merge(  # type: ignore[no-any-return]
            self.join([resize_to(prepare(x), size) for prepare, x in zip(self.prepare, features)])
        )


class TwoBranchFusion(nn.Module):
    """Attention branch plus pooling branch: AFFM itself and three of its variants."""

    def __init__(self, attention: Branch, pooling: Branch, join: Callable[[list[Tensor]], Tensor], out: nn.Module):
        super().__init__()
        self.attention = attention
        self.pooling = pooling
        self.join = join
        self.out = out

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return 128 channels at the size of the first feature map."""
        return self.out(self.join([self.attention(features), self.pooling(features)]))  # type: ignore[no-any-return]


class PyramidFusion(nn.Module):
    """The "FPN+PAN" variant of Table II: top-down, then bottom-up over three scales, CBAM on the inputs."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        low, middle, deep, context = channels
        self.attention = nn.ModuleList(ChannelSpatialAttention(width) for width in channels)
        self.top_deep = ConvBNAct(deep + context, 64, 3)
        self.top_middle = ConvBNAct(64 + middle, 64, 1)
        self.top_low = ConvBNAct(64 + low, CHANNELS, 3)
        self.up_middle = ConvBNAct(CHANNELS + 64, CHANNELS, 1)
        self.up_deep = ConvBNAct(CHANNELS + 64, CHANNELS, 1)
        self.merge = ConvBNAct(3 * CHANNELS, CHANNELS, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return 128 channels at the size of the first feature map."""
        low, middle, deep, context = (attend(x) for attend, x in zip(self.attention, features))
        t3 = self.top_deep(torch.cat([deep, context], 1))
        t2 = self.top_middle(torch.cat([resize_to(t3, spatial_size(middle)), middle], 1))
        t1 = self.top_low(torch.cat([resize_to(t2, spatial_size(low)), low], 1))
        n2 = self.up_middle(torch.cat([F.max_pool2d(t1, 3, 2, 1), t2], 1))
        n3 = self.up_deep(torch.cat([F.max_pool2d(n2, 3, 2, 1), t3], 1))
        size = spatial_size(low)
        return self.merge(torch.cat([t1, resize_to(n2, size), resize_to(n3, size)], 1))  # type: ignore[no-any-return]


def concatenate(maps: list[Tensor]) -> Tensor:
    """Join along the channels."""
    return torch.cat(maps, 1)


def add(maps: list[Tensor]) -> Tensor:
    """Join by element-wise addition, which the paper calls EWA."""
    total = maps[0]
    for x in maps[1:]:
        total = total + x
    return total


def maximum_5x5() -> nn.Module:
    """Return the maximum over 5x5 at stride 1."""
    return nn.MaxPool2d(5, stride=1, padding=2)


def _widen(in_channels: int) -> nn.Module:
    return nn.Identity() if in_channels == CHANNELS else ConvBNAct(in_channels, CHANNELS, 1)


def concat_ewa(channels: Sequence[int]) -> nn.Module:
    """Return AFFM as published: attention maps concatenated and merged 3x3, pooled maps added."""
    return TwoBranchFusion(
        Branch([ChannelSpatialAttention(c) for c in channels], concatenate, ConvBNAct(sum(channels), CHANNELS, 3)),
        Branch([PooledFeatures(c) for c in channels], add, nn.Identity()),
        add,
        nn.Identity(),
    )


def ewa_concat(channels: Sequence[int]) -> nn.Module:
    """Return the variant with exchanged roles: attention maps added, raw pooled maps concatenated and merged 3x3."""
    return TwoBranchFusion(
        Branch(
            [nn.Sequential(ChannelSpatialAttention(c), ConvBNAct(c, CHANNELS, 1)) for c in channels], add, nn.Identity()
        ),
        Branch([maximum_5x5() for _ in channels], concatenate, ConvBNAct(sum(channels), CHANNELS, 3)),
        add,
        nn.Identity(),
    )


def concat(channels: Sequence[int]) -> nn.Module:
    """Return the variant that concatenates in both branches; their results are concatenated and merged 1x1."""
    pooled = CHANNELS * len(channels)
    return TwoBranchFusion(
        Branch([ChannelSpatialAttention(c) for c in channels], concatenate, ConvBNAct(sum(channels), CHANNELS, 3)),
        Branch([PooledFeatures(c) for c in channels], concatenate, nn.Identity()),
        concatenate,
        ConvBNAct(CHANNELS + pooled, CHANNELS, 1),
    )


def ewa(channels: Sequence[int]) -> nn.Module:
    """Return the variant that adds in both branches; only inputs narrower than 128 channels are widened."""
    return TwoBranchFusion(
        Branch([AttendedFeatures(c) for c in channels], add, ConvBNAct(CHANNELS, CHANNELS, 3)),
        Branch([nn.Sequential(_widen(c), maximum_5x5()) for c in channels], add, ConvBNAct(CHANNELS, CHANNELS, 3)),
        add,
        nn.Identity(),
    )


FUSIONS: dict[str, Callable[[Sequence[int]], nn.Module]] = {
    "concat+ewa": concat_ewa,
    "ewa+concat": ewa_concat,
    "concat": concat,
    "ewa": ewa,
    "fpn+pan": PyramidFusion,
}
