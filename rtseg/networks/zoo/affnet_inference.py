"""AFFNet with the same logits for less work: what is exported in place of the modules that are trained.

Three rewritings, all exact up to float rounding, proven by the parity check of every export:

- A 3x3 convolution of a bilinearly upsampled map is linear in the small map. So the nine kernel taps
  mix channels at the small size, and two products with constant matrices upsample, shift and sum
  the nine results. For the maps at 1/32 that is a sixth of the work, in the layer that has
  two thirds of it.
- A convolution beside a maximum, concatenated and normalised, is a sum of two convolutions with the
  normalisation folded in: nothing is concatenated at half the image's size.
- An average of values that are not negative is not negative, so where one is concatenated with a convolution the ReLU
  behind both is the convolution's alone. A kernel does it on its way out, and in INT8 nothing stands between
  the two and the kernels that read them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rtseg.networks.zoo.folding import folded_normalization
from rtseg.networks.zoo.layers import ConvBNAct, bilinear_weights, resize_to, spatial_size

TAPS = 3


class SummedInitialUnit(nn.Module):
    """AFFNet's initial unit as the sum of two biased convolutions."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        scale, shift = folded_normalization(norm)
        pooled, out = 3, norm.num_features
        self.conv = nn.Conv2d(3, out, 3, 2, 1)
        self.pool = nn.Conv2d(pooled, out, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[: out - pooled] = conv.weight * scale[: out - pooled].view(-1, 1, 1, 1)
            assert self.conv.bias is not None
            self.conv.bias.copy_(shift)
            self.pool.weight.zero_()
            for channel in range(pooled):
                self.pool.weight[out - pooled + channel, channel] = scale[out - pooled + channel]

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size."""
        return F.relu(self.conv(x) + self.pool(F.max_pool2d(x, 2)))


class RectifiedDownsampleUnit(nn.Module):
    """AFFNet's downsampling unit for an input that is not negative, with the ReLU on the convolutions alone."""

    def __init__(self, main: nn.Module) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size, the pooled input among them; x >= 0."""
        return torch.cat([F.relu(self.main(x)), F.avg_pool2d(x, 3, 2, 1)], 1)


class ConvOfUpsampled(nn.Module):
    """The merge of a concatenating branch: 3x3 convolution, normalisation and ReLU of maps of several sizes.

    The last `low` of the inputs, all of one small size, are convolved at their own size.
    """

    def __init__(self, prepare: nn.ModuleList, widths: Sequence[int], merge: ConvBNAct, *, low: int) -> None:
        super().__init__()
        conv, norm = merge[0], merge[1]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        scale, shift = folded_normalization(norm)
        kernel = (conv.weight * scale.view(-1, 1, 1, 1)).detach()
        high_channels = sum(widths[:-low])
        self.prepare = prepare
        self.low = low
        self.high = nn.Conv2d(high_channels, conv.out_channels, TAPS, padding=TAPS // 2)
        self.taps = nn.Conv2d(sum(widths[-low:]), conv.out_channels * TAPS * TAPS, 1, bias=False)
        with torch.no_grad():
            assert self.high.bias is not None
            self.high.weight.copy_(kernel[:, :high_channels])
            self.high.bias.copy_(shift)
            self.taps.weight.copy_(kernel[:, high_channels:].permute(0, 2, 3, 1).reshape(self.taps.weight.shape))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the merged features at the size of the first and largest input."""
        size = spatial_size(features[0])
        maps = [prepare(x) for prepare, x in zip(self.prepare, features)]
        high = torch.cat([resize_to(x, size) for x in maps[: -self.low]], 1)
        mixed = self.taps(torch.cat(maps[-self.low :], 1))
        return F.relu(self.high(high) + upsampled_taps(mixed, size))


def upsampled_taps(mixed: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (1, channels, *size): nine maps a channel, each upsampled, shifted by its tap, and summed.

    mixed is (1, channels * 9, h, w), a channel's taps row by row. The upsampling is bilinear with half-pixel
    centres. With mixed = the nine products of a small map with a 3x3 kernel's taps, the result is that
    kernel's convolution of the upsampled map, zero-padded.
    """
    height, width = spatial_size(mixed)
    channels = int(mixed.shape[1]) // TAPS**2
    rows = torch.from_numpy(shifted_upsampling(height, size[0])).to(mixed)
    columns = torch.from_numpy(shifted_upsampling(width, size[1])).to(mixed)
    side_by_side = mixed.reshape(channels, TAPS, TAPS, height, width).permute(0, 1, 3, 2, 4)
    wide = side_by_side.reshape(channels, TAPS * height, TAPS * width) @ columns.T
    return (rows @ wide).reshape(1, channels, *size)


def shifted_upsampling(inputs: int, outputs: int) -> NDArray[np.float32]:
    """Return the matrix (outputs, 3 * inputs) that upsamples three signals, shifts them by -1, 0, 1 and adds them.

    Beyond the edges the upsampled signals are 0, as under a convolution's padding.
    """
    padded = np.pad(bilinear_weights(inputs, outputs), ((TAPS // 2, TAPS // 2), (0, 0)))
    return np.ascontiguousarray(np.concatenate([padded[tap : tap + outputs] for tap in range(TAPS)], 1))
