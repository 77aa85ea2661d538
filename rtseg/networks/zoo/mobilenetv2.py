"""MobileNetV2 as a trunk: five feature maps, neither the 1280 channels nor the classifier.

Sandler, Howard, Zhu, Zhmoginov, Chen: "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
CVPR 2018, Tables 1 and 2. Parameters carry torchvision's names, so that ImageNet weights saved by
torchvision load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from rtseg.networks.zoo.imagenet import load_imagenet

CHANNELS = (16, 24, 32, 96, 320)
"""Channels of the five feature maps, finest first."""

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, output channels, blocks and stride of the first block (Table 2)."""

TAPS = (1, 3, 6, 13, 17)
"""The last block at each size, by its number in `features`."""

DILATED_FROM = 14
"""The first block at 1/32: from here on a trunk of output stride 16 is dilated."""


class Bottleneck(nn.Module):
    """The inverted residual: expand 1x1, depthwise 3x3, project 1x1 without activation (Table 1)."""

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        layers: list[nn.Module] = [] if expansion == 1 else [_conv_bn_relu6(in_channels, hidden, 1)]
        layers += [
            _conv_bn_relu6(hidden, hidden, 3, stride=stride, dilation=dilation, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size, rounded up, for stride 2, else at the same size."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """The stem and the seventeen bottlenecks of MobileNetV2, width multiplier 1.

    The feature maps lie at 1/2, 1/4, 1/8, 1/16 and 1/32. With output_stride 16 the last one lies at
    1/16, from the same parameters: the step to 1/32 is left out, and the depthwise convolutions after
    it take every second pixel. Raises ValueError for output strides other than 16 and 32.
    """

    name = "mobilenet_v2"

    def __init__(self, *, output_stride: int = 32) -> None:
        super().__init__()
        if output_stride not in (16, 32):
            raise ValueError(f"output_stride is 16 or 32, got {output_stride}")
        layers: list[nn.Module] = [_conv_bn_relu6(3, 32, 3, stride=2)]
        channels = 32
        for expansion, out_channels, blocks, first_stride in STAGES:
            for block in range(blocks):
                stride, dilation = first_stride if block == 0 else 1, 1
                if output_stride == 16 and len(layers) >= DILATED_FROM:
                    # The first of them still reads a map at 1/16; only those after it lost a step.
                    stride, dilation = 1, 1 if len(layers) == DILATED_FROM else 2
                layers.append(Bottleneck(channels, out_channels, expansion=expansion, stride=stride, dilation=dilation))
                channels = out_channels
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the five maps, finest first, with 16, 24, 32, 96 and 320 channels."""
        maps = []
        x = images
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in TAPS:
                maps.append(x)
        half, quarter, eighth, sixteenth, last = maps
        return half, quarter, eighth, sixteenth, last

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of torchvision's mobilenet_v2. Raises CheckpointError for others."""
        load_imagenet(self, state, model=self.name, classifier=("features.18.", "classifier."))


def _conv_bn_relu6(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = kernel // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )
