"""SPSSNet: Fast-SCNN with four stage-pooling modules between its branches.

Mamoon, Manzoor, Zhang, Ali, Lu: "SPSSNet: a real-time network for image semantic segmentation", Frontiers of
Information Technology & Electronic Engineering 21(12), 2020. No code was published, and the layers are known only from
AFFNet's description (Kuang et al., section IV and Fig. 7).

    image -> shared layers, 1/8 -> stage 1 -> stage 2 -> stage 3 -> pyramid pooling
                     |                |          |          |            |    |
                     + <------- stage pooling, each of the four ---------+    |
                     +--------------------- fusion at 1/8 --------------------+ -> classifier
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.fast_scnn import (
    CHANNELS,
    SHALLOW,
    STAGES,
    Classifier,
    FeatureFusion,
    GlobalFeatureExtractor,
    LearningToDownsample,
)
from rtseg.networks.zoo.layers import ConvBNAct, initialize, resize_to, spatial_size

POOLINGS = 2
"""Links of the chain, as in RefineNet."""


class ChainedResidualPooling(nn.Module):
    """5x5 maxima in a row, each followed by a 3x3 convolution, all added (Lin et al., RefineNet, section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(ConvBNAct(channels, channels, 3, act=False) for _ in range(POOLINGS))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x's shape."""
        path = x
        for convolution in self.convolutions:
            path = convolution(F.max_pool2d(path, 5, 1, 2))
            x = x + path
        return x


class StagePooling(nn.Sequential):
    """SPM: a 1x1 convolution to the shallow branch's channels, then chained residual pooling."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(ConvBNAct(in_channels, SHALLOW, 1), ChainedResidualPooling(SHALLOW))


class SPSSNet(SegmentationNetwork):
    """SPSSNet with logits at 1/8."""

    stride = 8
    align_corners = True

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.downsample = LearningToDownsample()
        self.features = GlobalFeatureExtractor()
        self.poolings = nn.ModuleList(StagePooling(channels) for channels in (*STAGES, CHANNELS))
        self.fusion = FeatureFusion()
        self.classifier = Classifier(classes)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 8, width / 8)."""
        shallow = self.downsample(images)
        maps = self.features(shallow)
        size = spatial_size(shallow)
        for pooling, deep in zip(self.poolings, maps):
            shallow = shallow + resize_to(pooling(deep), size, align_corners=True)
        return self.classifier(self.fusion(shallow, maps[-1]))  # type: ignore[no-any-return]


SPSSNET = NetworkSpec(
    name="spssnet",
    title="SPSSNet",
    paper='Mamoon et al., "SPSSNet: a real-time network for image semantic segmentation", FITEE 2020',
    build=SPSSNet,
    loss="ce",
    published_parameters="1.42 M (abstract; AFFNet, Table III)",
    stated=(
        "AFFNet, section IV: Fast-SCNN with four stage-pooling modules from the deep to the shallow branch",
        "AFFNet, Fig. 7: 1x1 convolution, chained residual pooling, upsampling, addition to the shallow branch",
    ),
    inferred=(
        "everything else, as neither the paper's layers nor code were at hand; 1,461,123 parameters for 19 classes, "
        "2.9 % above the published 1.42 M",
        "the four modules read the three stages and the pyramid pooling",
        "64 channels in the modules, those of the shallow branch that they are added to; AFFNet says that the 1x1 "
        "convolution raises the channels, but 3x3 convolutions of more than 64 exceed the count",
        "chain of two 5x5 maxima with 3x3 convolutions, as in RefineNet, each with batch normalisation",
        "align_corners true as in Fast-SCNN, no auxiliary head, plain cross-entropy, ImageNet normalisation",
        "the 27.281 G multiply-accumulates of AFFNet's Table III are not explained by any of this",
    ),
)
