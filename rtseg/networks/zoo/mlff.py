"""The multi-level feature fusion network: DeepLabv3+ on MobileNetV2 with a richer low-level path.

Huo, Wang, Liu, Li: "Lightweight Semantic Segmentation Algorithm Based on Multi-level Feature Fusion",
2023. No code was published, and the figures were not available.

    image -> MobileNetV2 -> last map -> pyramid pooling -> 256, upsampled ------+
                  |                                                             |
                  +------> 32 at 1/8 -> feature enhancement -> 64, upsampled ---+
                  |                                                             |
                  +------> 24 at 1/4 -> feature enhancement -> 64 --------------+-> 3x3, 3x3, 1x1 at 1/4

What the paper leaves open was chosen so that the file of weights has the size of Table 4; see MLFF.inferred.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.networks.spec import NetworkOption, NetworkSpec
from rtseg.networks.zoo.aspp import BiasedConvBNAct
from rtseg.networks.zoo.deeplabv3plus import DeepLabV3Plus, LowLevelPath, ProjectedQuarter
from rtseg.networks.zoo.layers import resize_to, spatial_size
from rtseg.networks.zoo.mobilenetv2 import CHANNELS

ENHANCED = 64
"""Channels of one enhanced map."""


class FeatureEnhancement(nn.Module):
    """The FE module: local detail by a 3x3, reduced by a 1x1, plus the mean of the whole map (section 2.3)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.local = nn.Sequential(
            BiasedConvBNAct(in_channels, in_channels, 3), BiasedConvBNAct(in_channels, out_channels, 1)
        )
        self.image = BiasedConvBNAct(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return out_channels features of x's own size."""
        return self.local(x) + self.image(x.mean((2, 3), keepdim=True))  # type: ignore[no-any-return]


class EnhancedLevels(LowLevelPath):
    """The maps at 1/4 and 1/8, each enhanced, the second one upsampled, concatenated."""

    channels = 2 * ENHANCED

    def __init__(self) -> None:
        super().__init__()
        self.quarter = FeatureEnhancement(CHANNELS[1], ENHANCED)
        self.eighth = FeatureEnhancement(CHANNELS[2], ENHANCED)

    def forward(self, quarter: Tensor, eighth: Tensor) -> Tensor:
        """Return 128 features at quarter's size."""
        upsampled = resize_to(self.eighth(eighth), spatial_size(quarter), align_corners=True)
        return torch.cat([self.quarter(quarter), upsampled], 1)


LOW_LEVEL_PATHS: dict[str, type[LowLevelPath]] = {"with": EnhancedLevels, "without": ProjectedQuarter}
"""The low-level path for each setting of Table 3."""


class MultiLevelFeatureFusionNet(DeepLabV3Plus):
    """The network with logits at 1/4. Both options take the values that MLFF.options lists."""

    def __init__(self, classes: int, *, feature_enhancement: str = "with", output_stride: str = "16") -> None:
        super().__init__(classes, LOW_LEVEL_PATHS[feature_enhancement](), output_stride=int(output_stride))


MLFF = NetworkSpec(
    name="mlff",
    title="Multi-level feature fusion network",
    paper='Huo et al., "Lightweight Semantic Segmentation Algorithm Based on Multi-level Feature Fusion", 2023',
    build=MultiLevelFeatureFusionNet,
    loss="ce+dice",
    published_parameters="23.2 MB of weights (Huo et al., Table 4)",
    options={
        "feature_enhancement": NetworkOption(
            tuple(LOW_LEVEL_PATHS),
            "the FE modules on two levels of the trunk (Table 3); without them it is deeplabv3plus_mobilenetv2, "
            "the baseline of that table",
        ),
        "output_stride": NetworkOption(
            ("16", "32"),
            "the trunk's last map: at 1/16 by dilation, as in the public code of the baseline, or at 1/32, as Table 1 "
            "prints; the parameters are the same",
        ),
    },
    stated=(
        "MobileNetV2 without its pooling and its classifier (Table 1)",
        "pyramid pooling with rates 6, 12 and 18, a 1x1 and image pooling, concatenated, reduced by a 1x1",
        "FE module: 3x3 then 1x1 to fewer channels, beside global average pooling; both are fused",
        "low-level features of two stages of the trunk, concatenated with the upsampled deep ones, then 3x3",
        "loss: cross-entropy + Dice, weight 1 each",
        "23.2 MB of weights for the 21 classes of PASCAL VOC 2012",
    ),
    inferred=(
        "MB are 2^20 bytes: so the U-Net and PSPNet of Table 4 have the sizes of their public PyTorch code, whose "
        "DeepLabv3+ on MobileNetV2 is then the baseline",
        "from those 23.2 MB: FE on the 24 channels at 1/4 and the 32 at 1/8, 64 channels each, the branches added, "
        "a 1x1 after the global average pooling; others fit as well",
        "the 1280 channels at the end of Table 1 are left out: pyramid pooling on them alone has 9.8 M parameters",
        "two 3x3 of 256 channels, dropout 0.5 and 0.1, biases and align_corners true from the baseline's public code",
        "output stride 16 from the same code; Table 1 prints 32",
        "ImageNet normalisation",
    ),
)
