"""A small network of what newer networks have and those of rtseg do not: SiLU, gates, depthwise 5x5, PixelShuffle."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import PreparedNetwork, settle_batch_statistics
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import Normalization


class Unit(nn.Sequential):
    """A convolution, batch normalisation and SiLU."""

    def __init__(self, inputs: int, outputs: int, window: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, window, stride, window // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(),
        )


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """An inverted bottleneck with a depthwise 5x5 and a gate."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        wide = 4 * inputs
        self.body = nn.Sequential(
            Unit(inputs, wide),
            Unit(wide, wide, 5, stride=stride, groups=wide),
            Gate(wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class Pyramid(nn.Module):
    """Pyramid pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Unit(channels, channels // 4) for _ in range(2))
        self.merge = Unit(channels + 2 * (channels // 4), channels)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for level, bins in zip(self.levels, (1, 2)):
            pooled = level(F.adaptive_avg_pool2d(x, bins))
            maps.append(F.interpolate(pooled, x.shape[2:], mode="bilinear", align_corners=False))
        return self.merge(torch.cat(maps, 1))


class SiluNetwork(SegmentationNetwork):
    """An encoder-decoder with logits at stride 4."""

    stride = 4
    align_corners = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Unit(3, 24, 3, stride=2)
        self.quarter = nn.Sequential(Block(24, 32, 2), Block(32, 32))
        self.eighth = Block(32, 64, 2)
        self.pyramid = Pyramid(64)
        self.up = nn.Sequential(Unit(64, 4 * 32), nn.PixelShuffle(2))
        self.skip = Unit(32, 32)
        self.merge = Unit(32, 32, 5, groups=32)
        self.head = nn.Conv2d(32, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        quarter = self.quarter(self.stem(images))
        deep = self.pyramid(self.eighth(quarter))
        return self.head(self.merge(self.up(deep) + self.skip(quarter)))  # type: ignore[no-any-return]


def silu_network() -> PreparedNetwork:
    """Return the network with random weights and CamVid's classes."""
    classes = class_spec("camvid")
    torch.manual_seed(0)
    module = SiluNetwork(len(classes)).eval()
    settle_batch_statistics(module, Normalization())
    return PreparedNetwork("mine:silu", module, classes, Normalization(), "random")
