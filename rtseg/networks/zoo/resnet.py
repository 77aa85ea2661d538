"""ResNet-18 and ResNet-34 as a trunk: four feature maps, no classifier.

He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1. Parameters
carry torchvision's names, so that ImageNet weights saved by torchvision load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.zoo.imagenet import load_imagenet

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Basic blocks per stage, by depth."""

CHANNELS = (64, 128, 256, 512)
"""Channels of the four feature maps, finest first."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected by a 1x1 where the shape changes (Fig. 2)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size, rounded up, for stride 2, else at the same size."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.downsample(x))


class ResNet(nn.Module):
    """The stem and the four stages of ResNet-18 or -34.

    The feature maps lie at 1/4, 1/8, 1/16 and 1/32. With max_pool False the stem's maximum is
    bypassed: all four are twice as large, from the same parameters.
    """

    def __init__(self, depth: int, *, max_pool: bool = True) -> None:
        super().__init__()
        self.name = f"resnet{depth}"
        self.max_pool = max_pool
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        blocks = BLOCKS[depth]
        self.layer1 = _stage(64, CHANNELS[0], blocks[0], stride=1)
        self.layer2 = _stage(CHANNELS[0], CHANNELS[1], blocks[1], stride=2)
        self.layer3 = _stage(CHANNELS[1], CHANNELS[2], blocks[2], stride=2)
        self.layer4 = _stage(CHANNELS[2], CHANNELS[3], blocks[3], stride=2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the maps of the four stages, finest first, with 64, 128, 256 and 512 channels."""
        x = F.relu(self.bn1(self.conv1(images)))
        if self.max_pool:
            x = F.max_pool2d(x, 3, 2, 1)
        x2 = self.layer1(x)
        x3 = self.layer2(x2)
        x4 = self.layer3(x3)
        return x2, x3, x4, self.layer4(x4)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of torchvision's classifier of this depth. Raises CheckpointError for others."""
        load_imagenet(self, state, model=self.name, classifier=("fc.",))


def _stage(in_channels: int, out_channels: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride=stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))
