"""ERFNet: residual blocks of 3x1 and 1x3 convolutions in an encoder and a small decoder.

Romera, Alvarez, Bergasa, Arroyo: "ERFNet: Efficient Residual Factorized ConvNet for Real-Time
Semantic Segmentation", IEEE Transactions on Intelligent Transportation Systems 19(1), 2018.

    image -> 16 at 1/2 -> 64 at 1/4, 5 blocks -> 128 at 1/8, 8 dilated blocks
                                                    -> 64 at 1/4, 2 blocks -> 16 at 1/2, 2 blocks -> logits at 1
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.layers import initialize
from rtseg.specs import Normalization

EPSILON = 1e-3
"""Epsilon of every batch normalisation, as in the authors' code."""

DILATIONS = (2, 4, 8, 16)


class Downsampler(nn.Module):
    """ENet's first unit: a strided 3x3 convolution beside a 2x2 maximum, concatenated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, 2, 1)
        self.norm = nn.BatchNorm2d(out_channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size."""
        return F.relu(self.norm(torch.cat([self.conv(x), F.max_pool2d(x, 2)], 1)))


class NonBottleneck1D(nn.Module):
    """Two 3x3 convolutions, each split into 3x1 and 1x3, beside the identity.

    Only the second pair is dilated. Dropout takes whole channels.
    """

    def __init__(self, channels: int, *, dilation: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *_factorized(channels, 1), nn.ReLU(inplace=True), *_factorized(channels, dilation), nn.Dropout2d(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x's shape."""
        return F.relu(x + self.block(x))


class Upsampler(nn.Sequential):
    """A strided 3x3 transposed convolution with batch normalisation and ReLU: twice the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(in_channels, out_channels, 3, 2, 1, output_padding=1),
            nn.BatchNorm2d(out_channels, eps=EPSILON),
            nn.ReLU(inplace=True),
        )


class ERFNet(SegmentationNetwork):
    """ERFNet with logits at the image's own size."""

    stride = 1
    align_corners = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            Downsampler(3, 16),
            Downsampler(16, 64),
            *(NonBottleneck1D(64, dropout=0.03) for _ in range(5)),
            Downsampler(64, 128),
            *(NonBottleneck1D(128, dilation=dilation, dropout=0.3) for dilation in DILATIONS * 2),
        )
        self.decoder = nn.Sequential(
            Upsampler(128, 64),
            *(NonBottleneck1D(64) for _ in range(2)),
            Upsampler(64, 16),
            *(NonBottleneck1D(16) for _ in range(2)),
        )
        self.classifier = nn.ConvTranspose2d(16, classes, 2, 2)
        initialize(self)

    @property
    def multiple(self) -> int:
        """8: the encoder halves three times and the decoder doubles as often."""
        return 8

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height, width)."""
        return self.classifier(self.decoder(self.encoder(images)))  # type: ignore[no-any-return]


def _factorized(channels: int, dilation: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation)),
        nn.BatchNorm2d(channels, eps=EPSILON),
    )


ERFNET = NetworkSpec(
    name="erfnet",
    title="ERFNet",
    paper='Romera et al., "ERFNet: Efficient Residual Factorized ConvNet for Real-Time Semantic Segmentation", '
    "IEEE T-ITS 2018",
    build=ERFNet,
    loss="weighted-ce",
    published_parameters="2.1 M (AFFNet, Table V)",
    stated=(
        "encoder of 16 layers: down to 16, 64 and 128 channels, 5 blocks at 1/4, 8 blocks at 1/8 with dilations "
        "2, 4, 8, 16 twice",
        "decoder of 7 layers: transposed convolutions to 64, 16 and the classes, 2 blocks after each of the first two",
        "official code: dropout of whole channels, 0.03 in the first five blocks, 0.3 in the next eight, then none",
        "official code: every convolution with a bias, batch normalisation with epsilon 0.001, pixels / 255",
        "loss of the official code for the decoder: cross-entropy weighted 1 / ln(1.10 + share)",
    ),
    inferred=(
        "the official module for 19 classes has 2,066,642 parameters; the 1x1 head of its encoder, 2,451 of them, "
        "is only called when the encoder is trained alone, and is left out",
        "initial weights (He et al., fan-out); the encoder is not trained before the decoder",
    ),
    normalization=Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
)
