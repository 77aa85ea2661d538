"""ESPNet: an encoder of dilated spatial pyramids, and a decoder with one channel per class.

Mehta, Rastegari, Caspi, Shapiro, Hajishirzi: "ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic
Segmentation", ECCV 2018, Fig. 4d. Published code and weights: github.com/sacmehta/ESPNet (MIT licence).

    image -> stem 1/2 -> down, p x ESP 1/4 -> down, q x ESP 1/8 -> scores
               |  + image      |  + image                            |
             merge <- x2 <-  merge <--------------- x2 <-------------+      -> x2 -> logits

The encoder's maps are concatenated with the image, average-pooled to their size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.errors import SpecError
from rtseg.networks.spec import NetworkOption, NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.espnet_checkpoint import official_names
from rtseg.networks.zoo.espnet_modules import EPSILON, ESP, BNPReLU, ConvBNPReLU
from rtseg.specs import Normalization

SKIPS = {"features+image": 19, "features": 16}
"""Channels of the last skip: the stem's output joined with the pooled image, or that output alone."""

MIN_CLASSES = len(ESP.DILATIONS)
"""The decoder's ESP divides its channels, one per class, among the dilations."""


class ESPNet(SegmentationNetwork):
    """ESPNet with p = 2 and logits at the image's own size. skip is one of SKIPS, q the ESP modules at 1/8.

    Raises SpecError for fewer than 5 classes.
    """

    stride = 1
    P = 2

    def __init__(self, classes: int, *, skip: str = "features+image", q: str = "8") -> None:
        super().__init__()
        if classes < MIN_CLASSES:
            raise SpecError(
                "the number of classes is too small for espnet", got=classes, expected=f"{MIN_CLASSES} or more"
            )
        self.skip = skip
        self.pool = nn.AvgPool2d(3, 2, 1)
        self.stem = ConvBNPReLU(3, 16, 3, stride=2, epsilon=EPSILON)
        self.join1 = BNPReLU(16 + 3, epsilon=EPSILON)
        self.down2 = ESP(16 + 3, 64, stride=2)
        self.stage2 = nn.Sequential(*(ESP(64, 64) for _ in range(self.P)))
        self.join2 = BNPReLU(64 + 64 + 3, epsilon=EPSILON)
        self.down3 = ESP(64 + 64 + 3, 128, stride=2)
        self.stage3 = nn.Sequential(*(ESP(128, 128) for _ in range(int(q))))
        self.join3 = BNPReLU(128 + 128, epsilon=EPSILON)
        self.score3 = nn.Sequential(
            nn.Conv2d(128 + 128, classes, 1, bias=False), nn.BatchNorm2d(classes, eps=EPSILON), _doubling(classes)
        )
        self.score2 = nn.Conv2d(64 + 64 + 3, classes, 1, bias=False)
        self.merge2 = nn.Sequential(
            BNPReLU(2 * classes, epsilon=EPSILON),
            ESP(2 * classes, classes),
            _doubling(classes),
            BNPReLU(classes, epsilon=EPSILON),
        )
        self.merge1 = ConvBNPReLU(classes + SKIPS[skip], classes, 3, epsilon=EPSILON)
        self.classifier = _doubling(classes)

    @property
    def multiple(self) -> int:
        """The decoder doubles exactly what the encoder halved, three times."""
        return 8

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height, width)."""
        half = self.pool(images)
        features = self.stem(images)
        level1 = self.join1(torch.cat([features, half], 1))
        down2 = self.down2(level1)
        level2 = self.join2(torch.cat([self.stage2(down2), down2, self.pool(half)], 1))
        down3 = self.down3(level2)
        level3 = self.join3(torch.cat([down3, self.stage3(down3)], 1))
        merged = self.merge2(torch.cat([self.score2(level2), self.score3(level3)], 1))
        skip = level1 if self.skip == "features+image" else features
        return self.classifier(self.merge1(torch.cat([merged, skip], 1)))  # type: ignore[no-any-return]


def _doubling(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 2, 2, bias=False)


def _normalization(mean: tuple[float, float, float], std: tuple[float, float, float]) -> Normalization:
    """The authors subtract the mean and divide by the deviation of 0..255, blue first, then divide by 255 as well."""
    blue, green, red = std
    return Normalization(colour_order="BGR", scale=1.0, mean=mean, std=(255 * blue, 255 * green, 255 * red))


CITYSCAPES_NORMALIZATION = _normalization(
    (72.3923111, 82.90893555, 73.15840149), (45.3192215, 46.15289307, 44.91483307)
)
CAMVID_NORMALIZATION = _normalization((110.331, 108.409, 105.034), (72.125, 72.688, 69.903))

ESPNET = NetworkSpec(
    name="espnet",
    title="ESPNet",
    paper='Mehta et al., "ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic Segmentation", '
    "ECCV 2018",
    build=ESPNet,
    loss="weighted-ce",
    published_parameters="0.36 M (counted in the official code, 20 classes)",
    options={
        "skip": NetworkOption(
            tuple(SKIPS),
            "what the last merge sees of 1/2: features and image (the official training code, its CamVid weights) "
            "or features (the official test code, its Cityscapes weights)",
        ),
        "q": NetworkOption(("8", "5", "3"), "ESP modules at 1/8, the paper's alpha 3"),
    },
    stated=(
        "ESP: 1x1 reduction to a fifth, 3x3 of dilation 1, 2, 4, 8, 16, hierarchical fusion, residual",
        "the pooled image joins the encoder's maps at 1/2 and 1/4",
        "official code: every width, the order of each concatenation, epsilon 1e-3, no activation on the scores of 1/8",
        "official code: cross-entropy weighted 1 / ln(1.10 + share) on the one output, void being a class of its own",
        "official code: pixels in BGR, minus mean, over deviation, over 255",
        "official code: PyTorch's own initial weights",
    ),
    inferred=(
        "trained in one go; the authors train the encoder first, on labels of 1/8",
        "datasets other than CamVid are normalised as Cityscapes is",
        "at least 5 classes, as the decoder's ESP has a fifth of them per branch",
    ),
    normalization=CITYSCAPES_NORMALIZATION,
    normalization_by_dataset={"camvid": CAMVID_NORMALIZATION, "cityscapes": CITYSCAPES_NORMALIZATION},
    official_names=official_names,
)
