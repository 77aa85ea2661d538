"""AFFNet's attention feature fusion with the same values, in the operators that a GPU's compiler fuses.

A convolution of a bilinearly upsampled map is linear in the small map, as in affnet_inference: nine products mix
channels at 1/32. Here the channels are last, so that no product needs a transposition. A product with a constant
matrix upsamples, shifts and sums the rows. The columns are gathered, weighted and summed in the fusion's last kernel,
and so are the maps of the pooling branch: the upsampled maps are never written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.frame.bilinear import Axis
from rtseg.networks.zoo.affnet_fusion import (
    CHANNELS,
    ChannelSpatialAttention,
    TwoBranchFusion,
    add,
    concatenate,
    maximum_5x5,
)
from rtseg.networks.zoo.affnet_gpu_attention import JointAttention
from rtseg.networks.zoo.affnet_inference import TAPS, shifted_upsampling
from rtseg.networks.zoo.folding import convolution, folded_convolution
from rtseg.networks.zoo.gathered_resize import upsampled
from rtseg.networks.zoo.layers import spatial_size

FINE = 2
"""The number of maps, from the first, that are merged at 1/8; the others share a size and are merged at it."""


class JointFusion(nn.Module):
    """The fusion as published, of four maps: low at 1/8, middle at 1/16, deep and context at 1/32."""

    def __init__(self, fusion: TwoBranchFusion, widths: Sequence[int]) -> None:
        super().__init__()
        low, middle, *coarse = (a for a in fusion.attention.prepare if isinstance(a, ChannelSpatialAttention))
        self.attention = JointAttention([[low], [middle], coarse])
        kernel, shift = folded_convolution(fusion.attention.merge)
        fine = sum(widths[:FINE])
        self.merge = convolution(kernel[:, :fine], shift, padding=TAPS // 2)
        self.taps = nn.Parameter(kernel[:, fine:].permute(3, 2, 1, 0).reshape(TAPS**2, -1, CHANNELS).contiguous())
        self.narrow = nn.ModuleList(next(pooled.children()) for pooled in fusion.pooling.prepare)
        self.maximum = maximum_5x5()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return 128 channels at the size of the first map."""
        low, middle, deep, context = features
        size = spatial_size(low)
        merged = self._merged(self.attention([low, middle, torch.cat([deep, context], 1)]), size)
        pooled = self._pooled(features, size)
        # Channels last: the convolution would take one of the sums on its way out, and leave two kernels for the other.
        return (F.relu(merged) + pooled.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _merged(self, attended: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return (1, height, width, 128): the 3x3 convolution of all maps, each upsampled to that size."""
        low, middle, coarse = attended
        fine = self.merge(torch.cat([low, upsampled(middle, size)], 1))
        height, width = spatial_size(coarse)
        pixels = coarse.permute(0, 2, 3, 1).reshape(1, height * width, -1)
        by_column = (pixels @ self.taps).reshape(TAPS, TAPS * height, -1)  # a column's taps, and of each all rows' taps
        rows = torch.from_numpy(shifted_upsampling(height, size[0])).to(coarse)
        tall = (rows @ by_column).reshape(TAPS, size[0], width, -1)
        return fine.permute(0, 2, 3, 1) + sum_of_shifted_columns(tall, size[1])[None]  # type: ignore[no-any-return]

    def _pooled(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return the sum of the maxima of all maps, those at 1/32 summed before they are upsampled."""
        low, middle, deep, context = (narrow(x) for narrow, x in zip(self.narrow, features))
        both = self.maximum(torch.cat([deep, context], 1))
        coarse = both[:, :CHANNELS] + both[:, CHANNELS:]
        return self.maximum(low) + upsampled(self.maximum(middle), size) + upsampled(coarse, size)  # type: ignore[no-any-return]


def is_published(fusion: TwoBranchFusion) -> bool:
    """Return whether the fusion is AFFM as published, not one of the variants that the paper compares it with."""
    return (fusion.attention.join, fusion.pooling.join) == (concatenate, add)


def sum_of_shifted_columns(taps: Tensor, outputs: int) -> Tensor:
    """Return (height, outputs, channels): three maps, upsampled along their columns, shifted by -1, 0, 1 and summed.

    taps is (3, height, width, channels). Beyond the edges the upsampled maps are 0, as with a convolution's padding
    and as with shifted_upsampling's matrix.
    """
    axis = Axis.of(int(taps.shape[2]), outputs, align_corners=False)
    terms = []
    for tap in range(TAPS):
        source = np.arange(outputs) + tap - TAPS // 2
        inside = (source >= 0) & (source < outputs)
        source = source.clip(0, outputs - 1)
        for index, weight in ((axis.near, axis.near_weight), (axis.far, axis.far_weight)):
            column = taps[tap].index_select(1, torch.from_numpy(index[source]))
            terms.append(column * torch.from_numpy(weight[source] * inside.astype(np.float32)).to(taps).view(1, -1, 1))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
