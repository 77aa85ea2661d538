"""DeepLabv3+ on MobileNetV2: pyramid pooling in the encoder, one skip connection in the decoder.

Chen, Zhu, Papandreou, Schroff, Adam: "Encoder-Decoder with Atrous Separable Convolution for Semantic
Image Segmentation", ECCV 2018, Fig. 2. Widths and order of the layers are those of the public PyTorch
code github.com/bubbliiiing/deeplabv3-plus-pytorch (MIT licence), from which the multi-level feature
fusion network's baseline comes.

    image -> MobileNetV2 -> 320 at 1/16 -> pyramid pooling -> 256, upsampled --+
                  |                                                            |
                  +-------> 24 at 1/4 ---> low-level path ---------------------+-> 3x3, 3x3, 1x1 at 1/4
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.aspp import AtrousSpatialPyramidPooling, BiasedConvBNAct
from rtseg.networks.zoo.layers import initialize, resize_to, spatial_size
from rtseg.networks.zoo.mobilenetv2 import CHANNELS, MobileNetV2

WIDTH = 256
"""Channels of the pyramid pooling and of the decoder."""


class LowLevelPath(nn.Module, ABC):
    """The decoder's input from the trunk's fine maps: `channels` features at 1/4."""

    channels: int

    @abstractmethod
    def forward(self, quarter: Tensor, eighth: Tensor) -> Tensor:
        """Return features at quarter's size, for the trunk's 24 channels at 1/4 and 32 at 1/8."""


class ProjectedQuarter(LowLevelPath):
    """The map at 1/4, reduced to 48 channels by a 1x1 convolution (section 3.1)."""

    channels = 48

    def __init__(self) -> None:
        super().__init__()
        self.project = BiasedConvBNAct(CHANNELS[1], self.channels, 1)

    def forward(self, quarter: Tensor, eighth: Tensor) -> Tensor:
        """Return 48 features at quarter's size; eighth is not used."""
        return self.project(quarter)  # type: ignore[no-any-return]


class DeepLabV3Plus(SegmentationNetwork):
    """DeepLabv3+ with logits at 1/4. output_stride is that of the trunk, 16 or 32."""

    stride = 4
    align_corners = True
    backbone = MobileNetV2.name

    def __init__(self, classes: int, low_level: LowLevelPath, *, output_stride: int = 16) -> None:
        super().__init__()
        self.trunk = MobileNetV2(output_stride=output_stride)
        self.pyramid = AtrousSpatialPyramidPooling(CHANNELS[-1], WIDTH)
        self.low_level = low_level
        self.decoder = nn.Sequential(
            BiasedConvBNAct(WIDTH + low_level.channels, WIDTH, 3),
            nn.Dropout(0.5),
            BiasedConvBNAct(WIDTH, WIDTH, 3),
            nn.Dropout(0.1),
        )
        self.classifier = nn.Conv2d(WIDTH, classes, 1)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 4, width / 4)."""
        _, quarter, eighth, _, last = self.trunk(images)
        context = resize_to(self.pyramid(last), spatial_size(quarter), align_corners=True)
        decoded = self.decoder(torch.cat([context, self.low_level(quarter, eighth)], 1))
        return self.classifier(decoded)  # type: ignore[no-any-return]

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Copy the ImageNet weights of torchvision's mobilenet_v2 into the trunk. Raises CheckpointError for others."""
        self.trunk.load_imagenet(state)


def _with_projected_quarter(classes: int) -> DeepLabV3Plus:
    return DeepLabV3Plus(classes, ProjectedQuarter())


DEEPLABV3PLUS_MOBILENETV2 = NetworkSpec(
    name="deeplabv3plus_mobilenetv2",
    title="DeepLabv3+ (MobileNetV2)",
    paper='Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018',
    build=_with_projected_quarter,
    loss="ce",
    published_parameters="5.82 M (counted in the public code)",
    stated=(
        "pyramid pooling at 1/16 with rates 6, 12 and 18, a 1x1 and image pooling, 256 channels each",
        "decoder: features upsampled to 1/4, beside low-level ones of 48 channels, two 3x3 of 256 channels, 1x1",
        "public code: MobileNetV2 with a dilated last stage, low-level features of 24 channels, dense 3x3 instead of "
        "separable ones, a bias in every convolution outside the trunk, dropout 0.5 and 0.1, align_corners true",
        "loss of the public code: cross-entropy",
    ),
    inferred=(
        "ImageNet normalisation; the public code divides by 255 alone",
        "initial weights (He et al., fan-out)",
    ),
)
