"""ResNet-50 as a trunk: four feature maps, no classifier.

He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1, with the stride
in the 3x3 convolution as torchvision has it. Parameters carry torchvision's names, so that ImageNet
weights saved by torchvision load as they are, except into the deep stem, which torchvision lacks.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.zoo.imagenet import load_imagenet
from rtseg.networks.zoo.layers import ConvBNAct

BLOCKS = (3, 4, 6, 3)
"""Bottlenecks per stage."""

WIDTHS = (64, 128, 256, 512)
"""Channels of the 3x3 convolutions, by stage."""

EXPANSION = 4

CHANNELS = tuple(EXPANSION * width for width in WIDTHS)
"""Channels of the four feature maps, finest first."""

DILATIONS = {32: (1, 1, 1, 1), 16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}
"""Dilation of each stage, by the stride of the last feature map."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut, projected by a 1x1 where the shape changes (Fig. 5)."""

    def __init__(self, in_channels: int, width: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size, rounded up, for stride 2, else at the same size."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class ResNet50(nn.Module):
    """The stem and the four stages of ResNet-50.

    The feature maps lie at 1/4, 1/8, 1/16 and 1/32, none coarser than 1/output_stride: the stages beyond keep the size
    and dilate their 3x3 convolutions instead (Yu and Koltun, ICLR 2016). With deep_stem three 3x3 convolutions to 128
    channels replace the 7x7 to 64.
    """

    name = "resnet50"

    def __init__(self, *, output_stride: int = 32, deep_stem: bool = False) -> None:
        super().__init__()
        stem = 128 if deep_stem else 64
        self.conv1 = _deep_stem(stem) if deep_stem else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        dilations = DILATIONS[output_stride]
        self.layer1 = _stage(stem, 0, stride=1, dilations=dilations)
        self.layer2 = _stage(CHANNELS[0], 1, stride=2, dilations=dilations)
        self.layer3 = _stage(CHANNELS[1], 2, stride=2, dilations=dilations)
        self.layer4 = _stage(CHANNELS[2], 3, stride=2, dilations=dilations)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the maps of the four stages, finest first, with 256, 512, 1024 and 2048 channels."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        x2 = self.layer1(x)
        x3 = self.layer2(x2)
        x4 = self.layer3(x3)
        return x2, x3, x4, self.layer4(x4)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of torchvision's resnet50. Raises CheckpointError for those of another model."""
        load_imagenet(self, state, model=self.name, classifier=("fc.",))


def _deep_stem(out_channels: int) -> nn.Sequential:
    """Return the stem up to its last convolution; bn1 and ReLU follow as they do on the 7x7."""
    last = nn.Conv2d(64, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(*ConvBNAct(3, 64, 3, stride=2), *ConvBNAct(64, 64, 3), last)


def _stage(in_channels: int, index: int, *, stride: int, dilations: tuple[int, ...]) -> nn.Sequential:
    """Return a stage. If it dilates, its first block keeps the dilation of the previous stage."""
    dilation, before = dilations[index], dilations[max(index - 1, 0)]
    first = Bottleneck(in_channels, WIDTHS[index], stride=stride if dilation == before else 1, dilation=before)
    rest = (Bottleneck(CHANNELS[index], WIDTHS[index], dilation=dilation) for _ in range(BLOCKS[index] - 1))
    return nn.Sequential(first, *rest)
