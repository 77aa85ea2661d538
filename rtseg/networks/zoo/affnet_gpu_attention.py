"""The four CBAMs of AFFNet's fusion with the same values, in the operators that a GPU's compiler fuses.

On a view of a map with its channels last, both reductions share a kernel. The shared networks are so small that their
products are sums inside a kernel, while a convolution would take a kernel each. All are computed at once, as blocks of
one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rtseg.networks.zoo.affnet_fusion import ChannelSpatialAttention
from rtseg.networks.zoo.folding import convolution
from rtseg.networks.zoo.layers import spatial_size

PARTS = 64
"""Most parts of a map that are reduced side by side, before their results are."""

FEWEST_PARTS = 16
"""If all maps have only a smaller common number of parts, each map has its own number."""


class JointAttention(nn.Module):
    """CBAM on several maps. Each group of attentions, of equal width, works on one map, each on its own channels."""

    def __init__(self, groups: Sequence[Sequence[ChannelSpatialAttention]]) -> None:
        super().__init__()
        attentions = [attention for group in groups for attention in group]
        self.squeeze, self.excite = (_joint_products(attentions, index) for index in (0, 2))
        self.spatial = nn.ModuleList(_joint_spatial(group) for group in groups)
        self.is_average: Tensor
        self.register_buffer("is_average", torch.tensor([True, False]))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return each map, (1, channels, height, width), weighted by channel and place, plus itself."""
        scales = self._by_channel(maps).split_with_sizes([int(x.shape[1]) for x in maps])
        return [self._by_place(x, scale, conv) for x, scale, conv in zip(maps, scales, self.spatial)]

    def _by_channel(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the weight of each channel of all maps."""
        pooled = [
            _pooled_parts(x, parts) for x, parts in zip(maps, parts_of([math.prod(spatial_size(x)) for x in maps]))
        ]
        if len({int(x.shape[0]) for x in pooled}) == 1:
            pooled = [torch.cat(pooled, 2)]
        # Each of the two rows is reduced both ways, which is one kernel; what is not wanted is left out.
        kinds = self.is_average.view(2, 1)
        poolings = torch.cat([torch.where(kinds, x.mean(0), x.amax(0)) for x in pooled], 1)
        hidden = torch.relu((poolings[:, None] * self.squeeze).sum(2)).sum(0)
        return torch.sigmoid((hidden * self.excite).sum(1))

    def _by_place(self, x: Tensor, scale: Tensor, spatial: nn.Module) -> Tensor:
        """Return the map weighted by channel, as given, and by place, plus itself."""
        assert isinstance(spatial, nn.Conv2d)
        height, width = spatial_size(x)
        maps = spatial.groups
        weighted = (x * scale.view(1, -1, 1, 1)).permute(0, 2, 3, 1).reshape(1, height, width, maps, -1)
        profile = torch.where(self.is_average, weighted.mean(4, keepdim=True), weighted.amax(4, keepdim=True))
        place = torch.sigmoid(spatial(profile.reshape(1, height, width, 2 * maps).permute(0, 3, 1, 2)))
        if maps == 1:
            return x * (1 + scale.view(1, -1, 1, 1) * place)
        gate = 1 + scale.view(1, maps, -1, 1, 1) * place.view(1, maps, 1, height, width)
        return (x.reshape(1, maps, -1, height, width) * gate).reshape(x.shape)


def _joint_products(attentions: Sequence[ChannelSpatialAttention], index: int) -> nn.Parameter:
    """Return one layer of all shared networks as blocks of a matrix (outputs of all, inputs of all)."""
    layers = [attention.shared[index] for attention in attentions]
    weights = [layer.weight.detach() for layer in layers if isinstance(layer, nn.Conv2d)]
    rows, columns = (sum(int(weight.shape[axis]) for weight in weights) for axis in (0, 1))
    joint = torch.zeros(rows, columns)
    row = column = 0
    for weight in weights:
        outputs, inputs = map(int, weight.shape[:2])
        joint[row : row + outputs, column : column + inputs] = weight[:, :, 0, 0]
        row, column = row + outputs, column + inputs
    return nn.Parameter(joint)


def _joint_spatial(attentions: Sequence[ChannelSpatialAttention]) -> nn.Conv2d:
    """Return the spatial convolutions side by side, each on a mean and a maximum, in that order."""
    kernels = torch.cat([attention.spatial.weight.detach().flip(1) for attention in attentions])
    return convolution(kernels, padding=1, groups=len(attentions))


def _pooled_parts(x: Tensor, parts: int) -> Tensor:
    """Return (parts, 2, channels): mean and maximum of each of that many equal runs of pixels."""
    pixels = x.permute(0, 2, 3, 1).reshape(parts, -1, int(x.shape[1]))
    return torch.stack([pixels.mean(1), pixels.amax(1)], 1)


def parts_of(pixels: Sequence[int]) -> list[int]:
    """Return the number of equal parts that each map, of so many pixels, is divided into; one for all if possible."""
    common = _parts(math.gcd(*pixels))
    return [common if common >= FEWEST_PARTS else _parts(count) for count in pixels]


def _parts(pixels: int) -> int:
    return next(parts for parts in range(min(PARTS, pixels), 0, -1) if pixels % parts == 0)
