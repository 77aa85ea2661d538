"""ESPNetv2 for segmentation: an encoder of depthwise dilated pyramids, and a decoder that merges upwards.

Mehta, Rastegari, Shapiro, Hajishirzi: "ESPNetv2: A Light-weight, Power Efficient, and General
Purpose Convolutional Neural Network", CVPR 2019, Table 1 and section 4.2. Published code:
github.com/sacmehta/ESPNetv2 (MIT licence); its first commit holds weights for scales 0.5, 1.0 and 1.5.

    image -> stem 1/2 -> down 1/4 -> down, 3 x EESP 1/8 -> down, 7 x EESP 1/16
               |            |            |                       |
      logits <-+ <-- x2 <-- + <-- x2 <-- context <----- x2 <-----+
                                         |-> auxiliary logits

This is the network of that code. Another decoder under the same name, in the authors' EdgeNets, has
0.79 M parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.networks.spec import NetworkOption, NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.espnet import CAMVID_NORMALIZATION, CITYSCAPES_NORMALIZATION
from rtseg.networks.zoo.espnet_checkpoint import official_names_v2
from rtseg.networks.zoo.espnet_modules import BNPReLU, ConvBNPReLU
from rtseg.networks.zoo.espnetv2_modules import EESP, NARROW, WIDE, DepthwisePyramidPooling, StridedEESP, halved
from rtseg.networks.zoo.layers import initialize, resize_to, spatial_size


class ESPNetv2(SegmentationNetwork):
    """ESPNetv2 with logits at 1/2. scale, as text, multiplies the encoder's widths."""

    stride = 2
    align_corners = True
    SCALES = ("2.0", "1.5", "1.0", "0.5")
    BASE = 32

    def __init__(self, classes: int, *, scale: str = "2.0") -> None:
        super().__init__()
        base = int(self.BASE * float(scale))
        width1, width2, width3, width4 = min(base, self.BASE), 2 * base, 4 * base, 8 * base
        dropout = 0.1 if base < self.BASE else 0.2
        self.stem = ConvBNPReLU(3, width1, 3, stride=2)
        self.down2 = StridedEESP(width1, width2, dilations=WIDE)
        self.down3 = StridedEESP(width2, width3, dilations=WIDE)
        self.stage3 = nn.Sequential(*(EESP(width3, width3, dilations=WIDE) for _ in range(3)))
        self.down4 = StridedEESP(width3, width4, dilations=WIDE)
        self.stage4 = nn.Sequential(*(EESP(width4, width4, dilations=NARROW) for _ in range(7)))
        self.project4 = ConvBNPReLU(width4, width3, 1)
        self.context = nn.Sequential(EESP(2 * width3, width3, dilations=NARROW), DepthwisePyramidPooling(width3))
        self.score3 = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width3, classes, 1, bias=False))
        self.norm3 = BNPReLU(classes)
        self.merge2 = ConvBNPReLU(width2 + classes, classes, 1)
        self.classifier = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width1 + classes, classes, 1, bias=False))
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 2, width / 2)."""
        return self.training_logits(images)[0]

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits, then the auxiliary ones at 1/8, from which the main ones are computed."""
        quarter = halved(halved(images))
        eighth = halved(quarter)
        level1 = self.stem(images)
        level2 = self.down2(level1, quarter)
        level3 = self.stage3(self.down3(level2, eighth))
        level4 = self.stage4(self.down4(level3, halved(eighth)))
        auxiliary = self.score3(self.context(_joined(level3, self.project4(level4))))
        merged = self.merge2(_joined(level2, self.norm3(auxiliary)))
        return self.classifier(_joined(level1, merged)), auxiliary


def _joined(fine: Tensor, coarse: Tensor) -> Tensor:
    return torch.cat([fine, resize_to(coarse, spatial_size(fine), align_corners=True)], 1)


ESPNETV2 = NetworkSpec(
    name="espnetv2",
    title="ESPNetv2",
    paper='Mehta et al., "ESPNetv2: A Light-weight, Power Efficient, and General Purpose Convolutional Neural '
    'Network", CVPR 2019',
    build=ESPNetv2,
    loss="weighted-ce",
    published_parameters="1.25 M (counted in the official code, 20 classes)",
    options={"scale": NetworkOption(ESPNetv2.SCALES, "factor of the encoder's widths")},
    stated=(
        "EESP: grouped 1x1, depthwise dilated 3x3 in four branches, hierarchical fusion, grouped 1x1, residual",
        "strided EESP: average pooling concatenated, the image pooled and added",
        "official code: widths, 3 units at 1/8 and 7 at 1/16, dilations 1 to 4 there and 1, 1, 2, 3 from 1/16 on, "
        "the decoder, dropout 0.2 (0.1 at scale 0.5), align_corners",
        "official code: cross-entropy weighted 1 / ln(1.10 + share), main and auxiliary output with weight 1 each, "
        "void being a class of its own",
        "official code: pixels in BGR, minus mean, over deviation, over 255",
    ),
    inferred=(
        "the auxiliary logits are upsampled at once, in the official code three times by 2",
        "the activations that the official strided units own and never call are left out (480 parameters at scale 2.0)",
        "maps of odd sides are resized to the side of the map they meet; the official code takes multiples of 16",
        "initial weights of the decoder (He et al., fan-out, as in the encoder), no ImageNet weights",
        "datasets other than CamVid are normalised as Cityscapes is",
    ),
    normalization=CITYSCAPES_NORMALIZATION,
    normalization_by_dataset={"camvid": CAMVID_NORMALIZATION, "cityscapes": CITYSCAPES_NORMALIZATION},
    official_names=official_names_v2,
)
