"""U-Net on VGG16: an encoder whose maps are passed to a decoder of the same resolutions.

Ronneberger, Fischer, Brox: "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI
2015. The layers and widths are those of github.com/bubbliiiing/unet-pytorch (MIT licence), whose file
Huo et al. compare with.

    image -> 64 at 1 -> 128 at 1/2 -> 256 at 1/4 -> 512 at 1/8 -> 512 at 1/16
                |           |             |             |             |
    logits <-- 64 <------- 128 <-------- 256 <-------- 512 <----------+
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo.layers import initialize, resize_to, spatial_size
from rtseg.networks.zoo.vgg import CHANNELS, VGG16


class DecoderStage(nn.Module):
    """The coarser map upsampled onto the finer one and concatenated, then two 3x3 convolutions."""

    def __init__(self, fine: int, coarse: int, out_channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(fine + coarse, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return features of the finer map's size."""
        upsampled = resize_to(coarse, spatial_size(fine), align_corners=True)
        return self.convolutions(torch.cat([fine, upsampled], 1))  # type: ignore[no-any-return]


class UNet(SegmentationNetwork):
    """U-Net with logits at the image's own size."""

    stride = 1
    align_corners = True
    backbone = VGG16.name

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = VGG16()
        *skips, coarsest = CHANNELS
        coarser = (*skips[1:], coarsest)
        self.stages = nn.ModuleList(
            DecoderStage(fine, coarse, fine) for fine, coarse in zip(reversed(skips), reversed(coarser))
        )
        self.classifier = nn.Conv2d(skips[0], classes, 1)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height, width), for sides of 16 and more."""
        *skips, x = self.trunk(images)
        for stage, skip in zip(self.stages, reversed(skips)):
            x = stage(skip, x)
        return self.classifier(x)  # type: ignore[no-any-return]

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Copy the ImageNet weights of torchvision's vgg16 into the trunk."""
        self.trunk.load_imagenet(state)


UNET = NetworkSpec(
    name="unet",
    title="U-Net (VGG16)",
    paper='Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015',
    build=UNet,
    loss="ce",
    published_parameters="94.9 MB file (Huo et al., Table 4)",
    stated=(
        "paper: at each resolution the encoder's map is concatenated with the upsampled one; two 3x3 convolutions",
        "paper: cross-entropy; its weight map for touching cells is for another kind of data and left out",
        "public code: VGG16 without its last maximum as the encoder, padded convolutions with bias and without "
        "batch normalisation, bilinear upsampling with align_corners",
        "parameters of the public code for 21 classes: 24,892,437, 94.97 MiB, the 94.9 MB that Huo et al. print",
    ),
    inferred=(
        "maps of odd sides are upsampled to the side of the map they meet; the public code takes multiples of 16",
        "ImageNet normalisation, that of torchvision's weights",
        "initial weights (He et al., fan-out)",
    ),
)
