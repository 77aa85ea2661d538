"""AFFNet: attention feature fusion on Fast-SCNN's layout.

Kuang, Liu, Chen, Zhang: "Lightweight Semantic Segmentation Network based on Attention Feature
Fusion", IAENG International Journal of Computer Science, pages 1584-1591. No code was published.

    image -> down-sampling to 1/8 -> deep branch to 1/32 -> pyramid pooling
                  |                    |          |              |
                  low                middle      deep         context   -> AFFM at 1/8 -> classifier

What the paper leaves open was chosen so that the five parameter counts of Tables I and II and the
multiply-accumulates at 512x1024 come out as printed; see AFFNET.inferred.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.spec import NetworkOption, NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.affnet_fusion import CHANNELS, FUSIONS, Branch, TwoBranchFusion, concatenate
from rtseg.networks.zoo.affnet_gpu_fusion import JointFusion, is_published
from rtseg.networks.zoo.affnet_gpu_stem import GAIN, FusedDownsampleUnit, RearrangedInitialUnit
from rtseg.networks.zoo.affnet_inference import ConvOfUpsampled, RectifiedDownsampleUnit, SummedInitialUnit
from rtseg.networks.zoo.layers import ConvBNAct, DepthwiseSeparableConv, InvertedResidual, PyramidPooling, initialize
from rtseg.networks.zoo.pyramid_products import PyramidProducts
from rtseg.specs import Resolution


class InitialUnit(nn.Module):
    """ENet's first unit: a strided 3x3 convolution beside a 2x2 maximum, concatenated (Fig. 1)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, out_channels - 3, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size."""
        return F.relu(self.norm(torch.cat([self.conv(x), F.max_pool2d(x, 2)], 1)))


class DownsampleUnit(nn.Module):
    """ShuffleNet's strided unit without channel groups: convolution beside average pooling, concatenated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        hidden = out_channels // 4
        added = out_channels - in_channels
        self.main = nn.Sequential(
            ConvBNAct(in_channels, hidden, 1),
            ConvBNAct(hidden, hidden, 3, stride=2, groups=hidden, act=False),
            ConvBNAct(hidden, added, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size, the pooled input among them."""
        return F.relu(torch.cat([self.main(x), F.avg_pool2d(x, 3, 2, 1)], 1))


class AFFNet(SegmentationNetwork):
    """AFFNet with logits at 1/8. fusion names the module that joins the four taps."""

    stride = 8
    align_corners = False
    WIDTHS = (64, 48, 128, 128)
    """Channels of the four taps: low at 1/8, middle at 1/16, deep and context at 1/32."""

    def __init__(self, classes: int, *, fusion: str = "concat+ewa") -> None:
        super().__init__()
        self.down = nn.Sequential(InitialUnit(32), DownsampleUnit(32, 48), DownsampleUnit(48, 64))
        self.unit1 = nn.Sequential(
            InvertedResidual(64, 48, stride=2), InvertedResidual(48, 48), InvertedResidual(48, 48)
        )
        self.unit2 = nn.Sequential(
            InvertedResidual(48, 96), InvertedResidual(96, 96, stride=2), InvertedResidual(96, 128)
        )
        self.unit3 = nn.Sequential(*(InvertedResidual(128, 128) for _ in range(3)))
        self.pyramid: nn.Module = PyramidPooling(128, 128)
        self.fusion: nn.Module = FUSIONS[fusion](self.WIDTHS)
        self.classifier = nn.Sequential(
            DepthwiseSeparableConv(CHANNELS, CHANNELS),
            DepthwiseSeparableConv(CHANNELS, CHANNELS),
            nn.Dropout(0.1),
            nn.Conv2d(CHANNELS, classes, 3, padding=1),
        )
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 8, width / 8)."""
        low = self.down(images)
        middle = self.unit1(low)
        deep = self.unit2(middle)
        context = self.pyramid(self.unit3(deep))
        return self.classifier(self.fusion([low, middle, deep, context]))  # type: ignore[no-any-return]

    def for_inference(self) -> AFFNet:
        """Return a copy whose down-sampling and attention branch are rewritten; see affnet_inference."""
        network = copy.deepcopy(self).eval()
        initial = network.down[0]
        assert isinstance(initial, InitialUnit)
        network.down[0] = SummedInitialUnit(initial.conv, initial.norm)
        for index, unit in enumerate(network.down):
            if isinstance(unit, DownsampleUnit):  # what each of them reads comes out of a ReLU
                network.down[index] = RectifiedDownsampleUnit(unit.main)
        branch = getattr(network.fusion, "attention", None)
        if isinstance(branch, Branch) and isinstance(branch.merge, ConvBNAct) and branch.join is concatenate:
            network.fusion.attention = ConvOfUpsampled(branch.prepare, self.WIDTHS, branch.merge, low=2)
        return network

    def for_gpu(self, resolution: Resolution) -> AFFNet:
        """Return a copy rewritten for GPUs, except residuals and classifier; see affnet_gpu_stem, affnet_gpu_fusion.

        A fusion other than the published one stays as it is. The copy takes every size that this network takes.
        """
        network = copy.deepcopy(self).eval()
        initial, *units = network.down
        assert isinstance(initial, InitialUnit)
        level = GAIN ** -len(units)
        network.down[0] = RearrangedInitialUnit(initial.conv, initial.norm, level)
        for index, unit in enumerate(units, 1):
            assert isinstance(unit, DownsampleUnit)
            network.down[index] = FusedDownsampleUnit(unit.main, unit.in_channels, level)
            level *= GAIN
        assert isinstance(network.pyramid, PyramidPooling)
        network.pyramid = PyramidProducts(network.pyramid)
        fusion = network.fusion
        if isinstance(fusion, TwoBranchFusion) and is_published(fusion):
            network.fusion = JointFusion(fusion, self.WIDTHS)
        return network


AFFNET = NetworkSpec(
    name="affnet",
    title="AFFNet",
    paper='Kuang et al., "Lightweight Semantic Segmentation Network based on Attention Feature Fusion", IAENG',
    build=AFFNet,
    loss="owfl+ce",
    published_parameters="1.62 M",
    options={
        "fusion": NetworkOption(tuple(FUSIONS), "how the four taps are joined (Tables I and II)"),
    },
    stated=(
        "ENet initial unit and ShuffleNet downsample unit to 1/8",
        "nine inverted residuals, expansion 6, stride 2 at the 1st and 5th, 96 channels from the 4th, 128 from the 6th",
        "pyramid pooling at the end of the deep branch",
        "AFFM: CBAM with a 3x3 spatial kernel, 1x1 to 128, 5x5 maximum, 3x3 merge to 128",
        "classifier: two depthwise separable 3x3, one standard 3x3, 8x bilinear upsampling",
        "loss: OWFL + 0.5 cross-entropy, c = 1.02",
    ),
    inferred=(
        "widths 32, 48, 64 of the down-sampling and 48 of the first unit, from the parameter counts",
        "CBAM reduction 16, the residual add, pyramid bins 1, 2, 3 and 6",
        "the wiring of the four compared fusions",
        "ImageNet normalisation, align_corners false",
    ),
)
