"""PSPNet: pyramid pooling on a dilated ResNet-50.

Zhao, Shi, Qi, Wang, Jia: "Pyramid Scene Parsing Network", CVPR 2017. The layers and widths are those
of github.com/bubbliiiing/pspnet-pytorch (MIT licence), whose file Huo et al. compare with.

    image -> ResNet-50, deep stem -> 1024 -> 2048 -> pooled to 1, 2, 3 and 6 bins, concatenated -> 512 -> logits
                                      |
                                      +-> 256 -> auxiliary logits
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.networks.spec import NetworkOption, NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.layers import ConvBNAct, adaptive_average_pool, initialize, resize_to, spatial_size
from rtseg.networks.zoo.resnet_bottleneck import CHANNELS, ResNet50

DROPOUT = 0.1


class PyramidPoolingModule(nn.Module):
    """Averages over 1, 2, 3 and 6 bins a side beside their input, merged by a 3x3 convolution (Fig. 3)."""

    BINS = (1, 2, 3, 6)

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        width = in_channels // len(self.BINS)
        self.levels = nn.ModuleList(ConvBNAct(in_channels, width, 1) for _ in self.BINS)
        self.merge = ConvBNAct(2 * in_channels, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return a quarter of the channels at x's own size."""
        size = spatial_size(x)
        pooled = (level(adaptive_average_pool(x, bins)) for bins, level in zip(self.BINS, self.levels))
        return self.merge(torch.cat([x, *(resize_to(p, size, align_corners=True) for p in pooled)], 1))  # type: ignore[no-any-return]


class PSPNet(SegmentationNetwork):
    """PSPNet with logits at 1/8. output_stride is that of the trunk; from 16 the logits are resized to 1/8."""

    stride = 8
    auxiliary_heads = "head"
    align_corners = True
    OUTPUT_STRIDES = ("16", "8")

    def __init__(self, classes: int, *, output_stride: str = "16") -> None:
        super().__init__()
        self.trunk = ResNet50(output_stride=int(output_stride), deep_stem=True)
        self.pyramid = PyramidPoolingModule(CHANNELS[3])
        self.classifier = nn.Sequential(nn.Dropout2d(DROPOUT), nn.Conv2d(CHANNELS[3] // 4, classes, 1))
        self.head = nn.Sequential(
            ConvBNAct(CHANNELS[2], CHANNELS[2] // 4, 3), nn.Dropout2d(DROPOUT), nn.Conv2d(CHANNELS[2] // 4, classes, 1)
        )
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 8, width / 8)."""
        return self._main(images, self.trunk(images)[3])

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits, then those of the third stage, at the trunk's output stride."""
        _, _, third, last = self.trunk(images)
        return self._main(images, last), self.head(third)

    def _main(self, images: Tensor, features: Tensor) -> Tensor:
        height, width = spatial_size(images)
        logits = self.classifier(self.pyramid(features))
        return resize_to(logits, (height // self.stride, width // self.stride), align_corners=True)


PSPNET = NetworkSpec(
    name="pspnet",
    title="PSPNet (ResNet-50)",
    paper='Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017',
    build=PSPNet,
    loss="ce+auxiliary",
    published_parameters="178 MB file, 65.7 M in the text (Huo et al., Table 4 and section 1)",
    options={
        "output_stride": NetworkOption(
            PSPNet.OUTPUT_STRIDES, "image side over the last features' side: 8 in the paper, 16 in the public code"
        ),
    },
    stated=(
        "paper: dilated ResNet, features at 1/8, averages over 1, 2, 3 and 6 bins, each reduced to a quarter by 1x1",
        "paper: an auxiliary loss on the last but one stage, weighted 0.4",
        "public code: deep stem of three 3x3 convolutions to 128, 3x3 merge to 512, auxiliary 3x3 to 256, "
        "dropout of whole channels 0.1, align_corners, features at 1/16 unless asked otherwise",
        "parameters of the public code for 21 classes: 46,716,373, and 2,365,205 of the auxiliary head; "
        "with batch statistics 178.5 MiB, the 178 MB that Huo et al. print",
    ),
    inferred=(
        "features at 1/16 by default: they give the 51.5 G multiply-accumulates of the public code at 473x473",
        "logits from features at 1/16 are resized to 1/8 first, so that sides need to be multiples of 8 only; "
        "the public code upsamples them at once",
        "no ImageNet weights: torchvision has none for the deep stem",
        "ImageNet normalisation, initial weights (He et al., fan-out)",
    ),
)
