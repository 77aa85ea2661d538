"""The hybrid attention feature fusion network, built from its abstract.

Xie, Li, Tian: "Feature Fusion Network Based on Hybrid Attention for Semantic Segmentation", IEEE World AI IoT Congress
2022, doi 10.1109/AIIoT54504.2022.9817347. Only the abstract is available: it states MobileNetV2, spatial and channel
attention on both low-level and high-level features, and supervision at every stage of the backbone. Every width, the
wiring and the weight of the auxiliary losses are chosen here; results of this network are not results of the paper.

    image -> MobileNetV2 ->  24 at 1/4    32 at 1/8    96 at 1/16    320 at 1/32
                                |            |             |             |
              classifier <-- fusion <----- fusion <----- fusion <--------+
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.spec import NetworkOption, NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.layers import ConvBNAct, DepthwiseSeparableConv, initialize, resize_to, spatial_size
from rtseg.networks.zoo.mobilenetv2 import CHANNELS, MobileNetV2

AUXILIARY_WIDTH = 64


class ChannelGate(nn.Module):
    """Weights in 0..1 for the channels, from their means: squeeze and excitation with reduction 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 8, 1)
        self.excite = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, 1, 1)."""
        return torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class SpatialGate(nn.Module):
    """Weights in 0..1 for the pixels, from a 7x7 over mean and maximum of the channels, as in CBAM."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 1, height, width)."""
        profile = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return torch.sigmoid(self.conv(profile))


class GatedProjection(nn.Module):
    """A map brought to the fusion's channels, with both of its gates."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.project = ConvBNAct(in_channels, channels, 1)
        self.channel = ChannelGate(channels)
        self.spatial = SpatialGate()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the map under its own gates, its channel gate and its spatial gate."""
        x = self.project(x)
        channel, spatial = self.channel(x), self.spatial(x)
        return x * channel * spatial, channel, spatial


class HybridAttentionFusion(nn.Module):
    """Join a low-level and a high-level map, each under its own gates and, if crossed, those of the other.

    If crossed, the high-level map gates the channels of the low-level one, and the low-level map gates the pixels of
    the high-level one: the first has the context, the second the contours.
    """

    def __init__(self, low_channels: int, high_channels: int, channels: int, *, crossed: bool) -> None:
        super().__init__()
        self.crossed = crossed
        self.low = GatedProjection(low_channels, channels)
        self.high = GatedProjection(high_channels, channels)
        self.out = DepthwiseSeparableConv(channels, channels)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Return features of low's size."""
        low, _, places = self.low(low)
        high, weights, _ = self.high(high)
        high = resize_to(high, spatial_size(low))
        if self.crossed:
            low, high = low * weights, high * places
        return self.out(low + high)  # type: ignore[no-any-return]


class AuxiliaryHead(nn.Sequential):
    """The training output of one stage of the trunk: 3x3, then 1x1 to class logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(ConvBNAct(channels, AUXILIARY_WIDTH, 3), nn.Conv2d(AUXILIARY_WIDTH, classes, 1))


class HybridAttentionFusionNet(SegmentationNetwork):
    """The network with logits at 1/4. Both options take the values that HAFF.options lists."""

    stride = 4
    align_corners = False
    backbone = MobileNetV2.name
    auxiliary_heads = "heads"

    def __init__(self, classes: int, *, channels: str = "128", attention: str = "crossed") -> None:
        super().__init__()
        width, crossed = int(channels), attention == "crossed"
        _, *taps, last = CHANNELS
        self.trunk = MobileNetV2()
        self.fusions = nn.ModuleList(
            HybridAttentionFusion(low, high, width, crossed=crossed)
            for low, high in zip(reversed(taps), (last, width, width))
        )
        self.classifier = nn.Sequential(
            DepthwiseSeparableConv(width, width), nn.Dropout(0.1), nn.Conv2d(width, classes, 1)
        )
        self.heads = nn.ModuleList(AuxiliaryHead(tap, classes) for tap in (*taps, last))
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 4, width / 4)."""
        return self._decoded(self.trunk(images)[1:])

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits, then those of the trunk's stages at 1/4, 1/8, 1/16 and 1/32."""
        maps = self.trunk(images)[1:]
        return (self._decoded(maps), *(head(x) for head, x in zip(self.heads, maps)))

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Copy the ImageNet weights of torchvision's mobilenet_v2 into the trunk."""
        self.trunk.load_imagenet(state)

    def _decoded(self, maps: tuple[Tensor, ...]) -> Tensor:
        *lows, high = maps
        for fusion, low in zip(self.fusions, reversed(lows)):
            high = fusion(low, high)
        return self.classifier(high)  # type: ignore[no-any-return]


HAFF = NetworkSpec(
    name="haff",
    title="Hybrid attention feature fusion network",
    paper='Xie et al., "Feature Fusion Network Based on Hybrid Attention for Semantic Segmentation", IEEE AIIoT 2022',
    build=HybridAttentionFusionNet,
    loss="ce+auxiliary",
    published_parameters=None,
    options={
        "channels": NetworkOption(("128", "64", "256"), "width of the fusions and of the classifier"),
        "attention": NetworkOption(
            ("crossed", "own"),
            "whether the gates of one map also act on the other one: the high-level channel gate on the low-level map, "
            "the low-level spatial gate on the high-level map",
        ),
    },
    stated=(
        "only the abstract is public to us: no figure, table or code",
        "MobileNetV2 as the backbone",
        "spatial and channel attention for both high-resolution low-level and low-resolution high-level features",
        "supervision of every stage of the backbone by auxiliary losses",
    ),
    inferred=(
        "only the abstract is public to us: every width and the whole wiring below are chosen",
        "four maps of the trunk, 24 at 1/4 to 320 at 1/32, fused top-down at 128 channels",
        "channel gate: squeeze and excitation with reduction 8; spatial gate: 7x7 on mean and maximum",
        "each map under its own gates, then crossed; sum; depthwise separable 3x3",
        "classifier: depthwise separable 3x3, dropout 0.1, 1x1; align_corners false",
        "auxiliary heads: 3x3 to 64 channels, 1x1; cross-entropy with weight 0.4 each",
        "ImageNet normalisation, initial weights (He et al., fan-out)",
    ),
)
