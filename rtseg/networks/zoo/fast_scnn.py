"""Fast-SCNN: two branches that share their first three layers.

Poudel, Liwicki, Cipolla: "Fast-SCNN: Fast Semantic Segmentation Network", BMVC 2019, arXiv 1902.04502.

    image -> learning to downsample, 1/8 -> three stages to 1/32 -> pyramid pooling
                                   |                                   |
                                   +------------- fusion at 1/8 -------+ -> classifier
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.layers import (
    ConvBNAct,
    InvertedResidual,
    PyramidPooling,
    adaptive_average_pool,
    initialize,
    resize_to,
    spatial_size,
)
from rtseg.networks.zoo.pyramid_products import PyramidProducts
from rtseg.specs import Resolution

SHALLOW = 64
"""Channels of the shared layers at 1/8."""

STAGES = (64, 96, 128)
"""Channels of the three deep stages; the first lies at 1/16, the others at 1/32."""

CHANNELS = 128
"""Channels of the context, the fusion and the classifier."""

DROPOUT = 0.1


class SeparableConv(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1 with ReLU; nothing between them but batch normalisation (section 3.2.1)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__(
            ConvBNAct(in_channels, in_channels, 3, stride=stride, groups=in_channels, act=False),
            ConvBNAct(in_channels, out_channels, 1),
        )


class LearningToDownsample(nn.Sequential):
    """The three layers that both branches share: 1/8 of the image's size, 64 channels."""

    def __init__(self) -> None:
        super().__init__(
            ConvBNAct(3, 32, 3, stride=2), SeparableConv(32, 48, stride=2), SeparableConv(48, SHALLOW, stride=2)
        )


class AlignedPyramidPooling(PyramidPooling):
    """Pyramid pooling whose bins are upsampled with align_corners."""

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x's own size."""
        maps = [x]
        for bins, level in zip(self.BINS, self.levels):
            maps.append(resize_to(level(adaptive_average_pool(x, bins)), spatial_size(x), align_corners=True))
        return self.merge(torch.cat(maps, 1))  # type: ignore[no-any-return]


class GlobalFeatureExtractor(nn.Module):
    """The deep branch: three stages of three inverted residuals, expansion 6, then pyramid pooling (Table 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            _stage(in_channels, out_channels, stride=stride)
            for in_channels, out_channels, stride in zip((SHALLOW, *STAGES), STAGES, (2, 2, 1))
        )
        self.pyramid: nn.Module = AlignedPyramidPooling(STAGES[-1], CHANNELS)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the three stages and of the pyramid pooling."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [*maps, self.pyramid(x)]


class FeatureFusion(nn.Module):
    """The context, upsampled and convolved, added to the shallow map (Table 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(ConvBNAct(CHANNELS, CHANNELS, 3, groups=CHANNELS), _projection(CHANNELS))
        self.shallow = _projection(SHALLOW)

    def forward(self, shallow: Tensor, context: Tensor) -> Tensor:
        """Return 128 features of the shallow map's size."""
        context = resize_to(context, spatial_size(shallow), align_corners=True)
        return F.relu(self.shallow(shallow) + self.deep(context))


class Classifier(nn.Sequential):
    """Two separable convolutions, dropout, 1x1 to class logits."""

    def __init__(self, classes: int) -> None:
        super().__init__(
            SeparableConv(CHANNELS, CHANNELS),
            SeparableConv(CHANNELS, CHANNELS),
            nn.Dropout(DROPOUT),
            nn.Conv2d(CHANNELS, classes, 1),
        )


class FastSCNN(SegmentationNetwork):
    """Fast-SCNN with logits at 1/8."""

    stride = 8
    auxiliary_heads = "auxiliary"
    align_corners = True

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.downsample = LearningToDownsample()
        self.features = GlobalFeatureExtractor()
        self.fusion = FeatureFusion()
        self.classifier = Classifier(classes)
        self.auxiliary = nn.Sequential(ConvBNAct(SHALLOW, 32, 3), nn.Dropout(DROPOUT), nn.Conv2d(32, classes, 1))
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 8, width / 8)."""
        return self._decoded(self.downsample(images))

    def for_gpu(self, resolution: Resolution) -> FastSCNN:
        """Return a copy whose pyramid pooling is rewritten, for every size; see pyramid_products."""
        network = copy.deepcopy(self).eval()
        assert isinstance(network.features.pyramid, PyramidPooling)
        network.features.pyramid = PyramidProducts(network.features.pyramid, align_corners=True)
        return network

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits and those of the auxiliary head on the shared layers, both at 1/8."""
        shallow = self.downsample(images)
        return self._decoded(shallow), self.auxiliary(shallow)

    def _decoded(self, shallow: Tensor) -> Tensor:
        context = self.features(shallow)[-1]
        return self.classifier(self.fusion(shallow, context))  # type: ignore[no-any-return]


def _stage(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        InvertedResidual(in_channels, out_channels, stride=stride),
        *(InvertedResidual(out_channels, out_channels) for _ in range(2)),
    )


def _projection(in_channels: int) -> nn.Sequential:
    # The bias has no effect before a normalisation, but the published count includes it.
    return nn.Sequential(nn.Conv2d(in_channels, CHANNELS, 1), nn.BatchNorm2d(CHANNELS))


FAST_SCNN = NetworkSpec(
    name="fast_scnn",
    title="Fast-SCNN",
    paper='Poudel et al., "Fast-SCNN: Fast Semantic Segmentation Network", BMVC 2019',
    build=FastSCNN,
    loss="ce+auxiliary",
    published_parameters="1.11 M (paper and AFFNet, Table V)",
    stated=(
        "Table 1: 32, 48 and 64 channels to 1/8; three inverted residuals each of 64, 96 and 128 channels, "
        "expansion 6, strides 2, 2, 1; pyramid pooling; fusion and classifier of 128 channels",
        "no non-linearity between depthwise and pointwise convolution",
        "auxiliary losses, weight 0.4, at the end of the shared layers and of the deep branch",
    ),
    inferred=(
        "a public PyTorch version of 1,138,051 parameters for 19 classes is followed: biases in the fusion, pyramid "
        "bins 1, 2, 3 and 6, align_corners true, dropout 0.1, undilated depthwise convolution in the fusion, "
        "ImageNet normalisation",
        "as there, one auxiliary head, on the shared layers: 3x3 to 32 channels, 1x1 to the classes, 19,123 parameters",
        "the first convolution is padded, so that the shared layers end at exactly 1/8 (Table 1)",
        "initial weights (He et al., fan-out)",
    ),
)
