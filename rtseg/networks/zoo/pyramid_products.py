"""Pyramid pooling with the same values, in matrix products with channels last: all levels at once.

All bins of all levels are one product with a constant matrix. The levels' convolutions are a batch of small products,
and so are their shares of the merge, which is linear and so may come before the upsampling. The upsampling of all
levels and their sum is one product again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtseg.networks.zoo.folding import convolution, folded_convolution
from rtseg.networks.zoo.layers import PyramidPooling, bilinear_weights, bin_weights, spatial_size


class PyramidProducts(nn.Module):
    """Pyramid pooling of one map. align_corners is the rule by which the levels are upsampled."""

    def __init__(self, pyramid: PyramidPooling, *, align_corners: bool = False) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.bins = pyramid.BINS
        kernels, shifts = zip(*map(folded_convolution, pyramid.levels))
        merge, shift = folded_convolution(pyramid.merge)
        channels = int(kernels[0].shape[1])
        self.mix = nn.Parameter(torch.stack([kernel[:, :, 0, 0].T for kernel in kernels]))
        self.mix_shift = nn.Parameter(torch.stack(shifts)[:, None])
        shares = merge[:, channels:, 0, 0].chunk(len(kernels), 1)
        self.level_merge = nn.Parameter(torch.stack([share.T for share in shares]))
        self.merge = convolution(merge[:, :channels], shift)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x's own size, (1, channels, height, width)."""
        height, width = spatial_size(x)
        pooling = torch.from_numpy(pooling_matrix(height, width, self.bins)).to(x)
        upsampling = self._upsampling(height, width).to(x)
        binned = pooling @ x.permute(0, 2, 3, 1).reshape(height * width, -1)
        levels = torch.relu(binned[None] @ self.mix + self.mix_shift) @ self.level_merge
        added = upsampling @ levels.reshape(-1, int(levels.shape[2]))
        own = self.merge(x).permute(0, 2, 3, 1)
        return torch.relu(own + added.reshape(own.shape)).permute(0, 3, 1, 2)

    def _upsampling(self, height: int, width: int) -> Tensor:
        return torch.from_numpy(upsampling_matrix(height, width, self.bins, align_corners=self.align_corners))


def pooling_matrix(height: int, width: int, levels: Sequence[int]) -> NDArray[np.float32]:
    """Return (bins of all levels, height * width): what averages each bin."""
    return np.concatenate([np.kron(bin_weights(height, bins), bin_weights(width, bins)) for bins in levels])


def upsampling_matrix(height: int, width: int, levels: Sequence[int], *, align_corners: bool) -> NDArray[np.float32]:
    """Return (height * width, levels * bins of all levels): what upsamples and sums, of each level, its own bins.

    Every level has a row for every bin of all of them; those of others have weight 0.
    """
    sizes = [bins**2 for bins in levels]
    matrix = np.zeros((height * width, len(levels), sum(sizes)), np.float32)
    for level, (bins, first) in enumerate(zip(levels, np.cumsum([0, *sizes]))):
        rows, columns = (bilinear_weights(bins, side, align_corners=align_corners) for side in (height, width))
        matrix[:, level, first : first + bins**2] = np.kron(rows, columns)
    return matrix.reshape(height * width, -1)
