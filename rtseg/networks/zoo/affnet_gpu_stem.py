"""AFFNet's stem and down-sampling units with the same values, in the operators that a GPU's compiler fuses.

The operators are chosen by how TensorRT for RTX compiles them, not by their number: strided slices, maxima and
concatenations become one kernel, a convolution includes the ReLU after it, a concatenation of convolutions costs
nothing, and pooling always takes a kernel and a copy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.zoo.folding import convolution, folded_convolution, folded_normalization

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of each of the four pixels that one output pixel of a strided layer covers."""

ALIGNED = 16
"""Channels of the rearranged picture: four phases and their maximum take 15; kernels prefer multiples of 8."""

WEIGHT = 1 / 8
"""Weight of each of an average's nine values: FP16 has 1/8 exactly, but 1/9 is 0.03 % off, always to one side."""

GAIN = 9 * WEIGHT
"""The output of a unit relative to weights of 1/9. The layers before it give that much less."""


class RearrangedInitialUnit(nn.Module):
    """AFFNet's initial unit as one 2x2 convolution of the picture's four phases and their maximum.

    In the picture rearranged by pairs of rows and columns, a 3x3 convolution of stride 2 reads this pair and the one
    before. The 2x2 maximum is the maximum over the phases, which the convolution passes through. The output is
    multiplied by level.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, level: float = 1.0) -> None:
        super().__init__()
        scale, shift = (level * values for values in folded_normalization(norm))
        colours, convolved = conv.in_channels, conv.out_channels
        weight = torch.zeros(norm.num_features, ALIGNED, 2, 2)
        kernel = conv.weight.detach() * scale[:convolved].view(-1, 1, 1, 1)
        for row in range(3):
            for column in range(3):
                # Tap -1 is the second phase of the pair before, taps 0 and 1 are the phases of this one.
                pair = (row + 1) // 2, (column + 1) // 2
                phase = PHASES.index(((row + 1) % 2, (column + 1) % 2)) * colours
                weight[:convolved, phase : phase + colours, pair[0], pair[1]] = kernel[:, :, row, column]
        for colour in range(colours):
            weight[convolved + colour, len(PHASES) * colours + colour, 1, 1] = scale[convolved + colour]
        self.conv = convolution(weight, shift)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size of x, whose sides are even."""
        phases = [x[:, :, row::2, column::2] for row, column in PHASES]
        highest = torch.maximum(torch.maximum(phases[0], phases[1]), torch.maximum(phases[2], phases[3]))
        together = torch.cat([*phases, highest], 1)
        spare = ALIGNED - int(together.shape[1])
        return F.relu(self.conv(F.pad(together, (1, 0, 1, 0, 0, spare))))


class FusedDownsampleUnit(nn.Module):
    """AFFNet's downsampling unit, for an input that is not negative, with convolutions only.

    The depthwise convolution and the 1x1 after it have no activation between them, so they are one dense convolution.
    The average is a depthwise convolution, which writes directly into the concatenation. The input is level times that
    of the trained unit, and the output is GAIN * level times that of the trained unit.
    """

    def __init__(self, main: nn.Sequential, channels: int, level: float) -> None:
        super().__init__()
        reduce, depthwise, widen = main
        kernel, bias = folded_convolution(reduce)
        self.reduce = convolution(kernel, bias * level)
        kernel, bias = dense_convolution(depthwise, widen)
        self.main = convolution(kernel * GAIN, bias * GAIN * level, stride=2, padding=1)
        self.average = convolution(torch.full((channels, 1, 3, 3), WEIGHT), stride=2, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size, the averaged input among them; x >= 0."""
        return torch.cat([F.relu(self.main(F.relu(self.reduce(x)))), self.average(x)], 1)


def dense_convolution(depthwise: nn.Module, pointwise: nn.Module) -> tuple[Tensor, Tensor]:
    """Return kernel and bias of one convolution that equals a depthwise and a 1x1 one without activations."""
    (taps, inner), (mixing, outer) = (folded_convolution(layer) for layer in (depthwise, pointwise))
    return mixing * taps[:, 0], mixing[:, :, 0, 0] @ inner + outer
