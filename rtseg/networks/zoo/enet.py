"""ENet: bottlenecks in a deep encoder and a small decoder that unpools with the encoder's maxima.

Paszke, Chaurasia, Kim, Culurciello: "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation",
arXiv 1606.02147.

    image -> 16 at 1/2 -> 64 at 1/4, 4 bottlenecks -> 128 at 1/8, 16 bottlenecks
                  where the maxima were |                       | where the maxima were
     logits at 1 <- 16 at 1/2, 1 bottleneck <- 64 at 1/4, 2 bottlenecks

The places of the maxima are kept as a mask of zeros and ones instead of indices. Unpooling is then a nearest-neighbour
upsampling and a product, which every inference engine has, and equals torch.nn.functional.max_unpool2d.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.layers import initialize, spatial_size
from rtseg.specs import Normalization

EPSILON = 1e-3
"""Epsilon of every batch normalisation, as in the authors' code."""

REDUCTION = 4
"""Ratio of a bottleneck's input channels to those between its 1x1 convolutions."""


def maximum_mask(x: Tensor) -> Tensor:
    """Return ones where x has the maximum of its 2x2 window, the first in row-major order, and zeros elsewhere.

    Shape and dtype are x's; height and width are even. The values of a window are compared with each other, not with
    the pooled maximum: at reduced precision an engine may round the two differently, and then no value would equal its
    own maximum.
    """
    left, right = x[..., 0::2], x[..., 1::2]
    in_right = (right > left).to(x.dtype)
    rows = torch.maximum(left, right)
    in_lower = (rows[..., 1::2, :] > rows[..., 0::2, :]).to(x.dtype)
    in_row = _interleaved(1 - in_lower, in_lower, 2)
    in_right = in_row * in_right
    return _interleaved(in_row - in_right, in_right, 3)


def max_unpool(x: Tensor, mask: Tensor) -> Tensor:
    """Return x at twice the size: each value where the mask has its one, zeros elsewhere."""
    return F.interpolate(x, size=spatial_size(mask), mode="nearest") * mask


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    sizes = [int(side) for side in even.shape]
    sizes[axis] *= 2
    return torch.stack((even, odd), axis + 1).reshape(sizes)


class InitialBlock(nn.Module):
    """A strided 3x3 convolution beside a 2x2 maximum, concatenated (Fig. 2a)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, out_channels - 3, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=EPSILON)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size."""
        return self.act(self.norm(torch.cat([self.conv(x), F.max_pool2d(x, 2)], 1)))  # type: ignore[no-any-return]


class ConvolutionBranch(nn.Module):
    """The branch of every bottleneck: a projection, convolutions and an expansion, each with batch normalisation.

    The whole block shares one activation, with one slope if it has any.
    """

    def __init__(self, *convolutions: nn.Conv2d | nn.ConvTranspose2d, relu: bool, dropout: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels, eps=EPSILON))
            for convolution in convolutions
        )
        self.act = nn.ReLU() if relu else nn.PReLU()
        self.dropout = nn.Dropout2d(dropout)

    def branch(self, x: Tensor) -> Tensor:
        """Return the branch's output, which is added to the main path."""
        *inner, expansion = self.convolutions
        for convolution in inner:
            x = self.act(convolution(x))
        return self.dropout(expansion(x))  # type: ignore[no-any-return]


class Bottleneck(ConvolutionBranch):
    """Project 1x1, convolve, expand 1x1, beside the identity (Fig. 2b).

    The convolution is 3x3, dilated or not, or asymmetric: 5x1 and 1x5.
    """

    def __init__(
        self, channels: int, *, dropout: float, relu: bool = False, dilation: int = 1, asymmetric: bool = False
    ) -> None:
        hidden = channels // REDUCTION
        middle = [nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation, bias=False)]
        if asymmetric:
            middle = [
                nn.Conv2d(hidden, hidden, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(hidden, hidden, (1, 5), padding=(0, 2), bias=False),
            ]
        super().__init__(
            nn.Conv2d(channels, hidden, 1, bias=False),
            *middle,
            nn.Conv2d(hidden, channels, 1, bias=False),
            relu=relu,
            dropout=dropout,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x's shape."""
        return self.act(x + self.branch(x))  # type: ignore[no-any-return]


class DownsamplingBottleneck(ConvolutionBranch):
    """A bottleneck whose projection is 2x2 of stride 2, beside a 2x2 maximum padded with empty channels."""

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        hidden = in_channels // REDUCTION
        super().__init__(
            nn.Conv2d(in_channels, hidden, 2, 2, bias=False),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            relu=False,
            dropout=dropout,
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at half the size, and x's maximum_mask."""
        main, added = F.max_pool2d(x, 2), self.branch(x)
        channels = int(main.shape[1])
        # Instead of F.pad, whose amounts would be computed inside the exported graph.
        joined = torch.cat([main + added[:, :channels], added[:, channels:]], 1)
        return self.act(joined), maximum_mask(x)


class UpsamplingBottleneck(ConvolutionBranch):
    """A bottleneck with a strided 3x3 transposed convolution, beside a projection that is unpooled."""

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        hidden = in_channels // REDUCTION
        super().__init__(
            nn.Conv2d(in_channels, hidden, 1, bias=False),
            nn.ConvTranspose2d(hidden, hidden, 3, 2, 1, output_padding=1, bias=False),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            relu=True,
            dropout=dropout,
        )
        self.main = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels, eps=EPSILON)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return features of the mask's shape."""
        return self.act(max_unpool(self.main(x), mask) + self.branch(x))  # type: ignore[no-any-return]


def _context() -> nn.Sequential:
    """Return the bottlenecks 2.1 to 2.8 of the paper's Table 1, which stage 3 repeats."""
    bottleneck = partial(Bottleneck, 128, dropout=0.1)
    return nn.Sequential(
        bottleneck(),
        bottleneck(dilation=2),
        bottleneck(asymmetric=True),
        bottleneck(dilation=4),
        bottleneck(),
        bottleneck(dilation=8),
        bottleneck(asymmetric=True),
        bottleneck(dilation=16),
    )


class ENet(SegmentationNetwork):
    """ENet with logits at the image's own size."""

    stride = 1
    align_corners = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.initial = InitialBlock(16)
        self.down1 = DownsamplingBottleneck(16, 64, dropout=0.01)
        self.stage1 = nn.Sequential(*(Bottleneck(64, dropout=0.01) for _ in range(4)))
        self.down2 = DownsamplingBottleneck(64, 128, dropout=0.1)
        self.stage2 = _context()
        self.stage3 = _context()
        self.up4 = UpsamplingBottleneck(128, 64, dropout=0.1)
        self.stage4 = nn.Sequential(*(Bottleneck(64, dropout=0.1, relu=True) for _ in range(2)))
        self.up5 = UpsamplingBottleneck(64, 16, dropout=0.1)
        self.stage5 = Bottleneck(16, dropout=0.1, relu=True)
        self.classifier = nn.ConvTranspose2d(16, classes, 3, 2, 1, output_padding=1, bias=False)
        initialize(self)

    @property
    def multiple(self) -> int:
        """8: the encoder halves three times, and only complete windows are unpooled."""
        return 8

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height, width)."""
        x, mask1 = self.down1(self.initial(images))
        x, mask2 = self.down2(self.stage1(x))
        x = self.up4(self.stage3(self.stage2(x)), mask2)
        x = self.up5(self.stage4(x), mask1)
        return self.classifier(self.stage5(x))  # type: ignore[no-any-return]


ENET = NetworkSpec(
    name="enet",
    title="ENet",
    paper='Paszke et al., "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation", '
    "arXiv 1606.02147",
    build=ENet,
    loss="weighted-ce-1.02",
    published_parameters="0.36 M (AFFNet, Table V)",
    stated=(
        "Table 1: every bottleneck with its width, dilation or 5x1 and 1x5 convolution; no biases",
        "PReLU in the encoder; dropout of whole channels, 0.01 before bottleneck 2.0 and 0.1 after",
        "decoder: unpooling by the indices of the encoder's maxima, none for the last upsampling",
        "class weights 1 / ln(1.02 + share)",
        "authors' code: no activation between expansion and sum, ReLU in the decoder, epsilon 0.001, pixels / 255",
    ),
    inferred=(
        "widths as in a public PyTorch version: projections to a quarter of a block's input, one slope for each "
        "encoder block, 3x3 for every transposed convolution; paper and authors' code have a slope for each channel",
        "that version has 360,422 parameters for 19 classes; 2,432 of them, a 1x1 head of the encoder, are never "
        "called, and are left out",
        "encoder and decoder are trained at once, not one after the other; initial weights (He et al., fan-out)",
    ),
    normalization=Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
)
