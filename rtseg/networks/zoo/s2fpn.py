"""S2-FPN: a scale-aware strip attention guided feature pyramid on ResNet.

Elhassan, Yang, Huang, Munea, Hong, Adam, Benabid: "S2-FPN: Scale-ware Strip Attention Guided
Feature Pyramid Network for Real-time Semantic Segmentation", arXiv 2206.07298. Published code:
github.com/mohamedac29/S2-FPN (MIT licence). This is its version 1, which the abstract's numbers and
the figures describe; version 2 of October 2023 is another network under the same name.

    image -> ResNet ->  x2    x3    x4    x5 -> coarse generator (1/64), adaptation (1/32)
                         |     |     |     |             |                   |
                        APF <-APF <-APF <-APF <----------+                   |
                         |     |     |     |                                 |
        classifier <--  GFU <-GFU <-GFU <-GFU <------------------------------+

Only what the output depends on is built; the official modules own layers that they never call.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.layers import ConvBNAct, initialize
from rtseg.networks.zoo.resnet import ResNet
from rtseg.networks.zoo.s2fpn_checkpoint import official_names
from rtseg.networks.zoo.s2fpn_gpu import EarlyUpsample, GatedFusion
from rtseg.networks.zoo.s2fpn_modules import DROPOUT, AttentionPyramidFusion, AuxiliaryHead, GlobalFeatureUpsample
from rtseg.specs import Normalization, Resolution


class S2FPN(SegmentationNetwork):
    """S2-FPN with logits at 1/4, or at 1/2 where the trunk's maximum is bypassed (S2-FPN34M)."""

    stride = 4
    auxiliary_heads = "heads"
    align_corners = True
    WIDTHS = (256, 128, 64, 32)
    """Channels of the fused maps, coarsest first: x5 at 1/32, then x4, x3 and x2."""

    def __init__(self, classes: int, *, depth: int = 18, max_pool: bool = True) -> None:
        super().__init__()
        self.stride = 4 if max_pool else 2
        self.trunk = ResNet(depth, max_pool=max_pool)
        self.backbone = self.trunk.name
        self.coarse = nn.Sequential(ConvBNAct(512, 512, 3, stride=2, groups=512), nn.Dropout(DROPOUT))
        self.adaptation = nn.Sequential(ConvBNAct(512, 256, 3, groups=256), nn.Dropout(DROPOUT))
        self.fusions = nn.ModuleList(AttentionPyramidFusion(2 * width, width) for width in self.WIDTHS)
        self.upsamplings = nn.ModuleList(
            GlobalFeatureUpsample(high, width) for high, width in zip((256, *self.WIDTHS), self.WIDTHS)
        )
        self.heads = nn.ModuleList(AuxiliaryHead(width, classes) for width in self.WIDTHS)
        self.classifier = nn.Conv2d(self.WIDTHS[-1], classes, 1, bias=False)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / stride, width / stride)."""
        pyramid, _, adapted = self._encoded(images)
        return self._decoded(pyramid, adapted)

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits, then the four heads', from 1/32 to the main one's own stride."""
        pyramid, gated, adapted = self._encoded(images)
        return (self._decoded(pyramid, adapted), *(head(x) for head, x in zip(self.heads, gated)))

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Copy the ImageNet weights of torchvision's ResNet of the same depth into the trunk."""
        self.trunk.load_imagenet(state)

    def for_gpu(self, resolution: Resolution) -> S2FPN:
        """Return a copy whose fusions and upsamplings are rewritten, for every size; see s2fpn_gpu."""
        network = copy.deepcopy(self).eval()
        for index, (fusion, upsampling) in enumerate(zip(self.fusions, self.upsamplings)):
            assert isinstance(fusion, AttentionPyramidFusion) and isinstance(upsampling, GlobalFeatureUpsample)
            network.fusions[index], network.upsamplings[index] = GatedFusion(fusion), EarlyUpsample(upsampling)
        return network

    def _encoded(self, images: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return the fused maps and the gated sums, coarsest first, and the last stage's adapted features."""
        maps = self.trunk(images)
        high = self.coarse(maps[-1])
        pyramid, gated_sums = [], []
        for fusion, low in zip(self.fusions, reversed(maps)):
            high, gated = fusion(high, low)
            pyramid.append(high)
            gated_sums.append(gated)
        return pyramid, gated_sums, self.adaptation(maps[-1])

    def _decoded(self, pyramid: Sequence[Tensor], adapted: Tensor) -> Tensor:
        for upsampling, guide in zip(self.upsamplings, pyramid):
            adapted = upsampling(guide, adapted)
        return self.classifier(adapted)  # type: ignore[no-any-return]


def _pixels_minus(red: float, green: float, blue: float) -> Normalization:
    """The authors subtract the dataset's mean colour from 0..255 and divide by nothing."""
    return Normalization(colour_order="RGB", scale=1.0, mean=(red, green, blue), std=(1.0, 1.0, 1.0))


def _spec(name: str, title: str, published: str, *, depth: int, max_pool: bool, stated: str) -> NetworkSpec:
    return NetworkSpec(
        name=name,
        title=title,
        paper='Elhassan et al., "S2-FPN: Scale-ware Strip Attention Guided Feature Pyramid Network", arXiv 2206.07298',
        build=partial(S2FPN, depth=depth, max_pool=max_pool),
        loss="weighted-ce",
        published_parameters=f"{published} (counted in the official code)",
        stated=(
            f"abstract and figures: {stated}, pyramid fusion with strip and channel attention, global feature upsample",
            "official code, version 1: every width, the order of operations, both rules of align_corners, dropout 0.15",
            f"parameters of the official code: {published} in June 2022; since then 12.54 M more, down2 to down5, "
            "which it never calls",
            "loss of the official code: cross-entropy weighted 1 / ln(1.10 + share), on main and auxiliary outputs",
            "official code: pixels minus the dataset's mean colour, no scale, no deviation",
        ),
        inferred=(
            "only abstract, figures and code were at hand; where figure and code differ, the code is followed",
            "the layers the official code never calls are left out",
            "initial weights (He et al., fan-out); the official training overwrites the ImageNet weights it loads",
            "datasets other than CamVid are normalised by the mean of Cityscapes",
        ),
        normalization=_pixels_minus(73.45284, 83.212006, 72.78043),
        normalization_by_dataset={"camvid": _pixels_minus(99.625404, 103.329834, 105.65775)},
        official_names=official_names,
    )


S2FPN18 = _spec("s2fpn18", "S2-FPN18", "17.98 M", depth=18, max_pool=True, stated="ResNet-18")
S2FPN34 = _spec("s2fpn34", "S2-FPN34", "28.09 M", depth=34, max_pool=True, stated="ResNet-34")
S2FPN34M = _spec(
    "s2fpn34m", "S2-FPN34M", "28.09 M", depth=34, max_pool=False, stated="ResNet-34 without its maximum, maps doubled"
)
