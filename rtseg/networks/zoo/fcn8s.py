"""FCN-8s: class scores of three stages, summed from the coarsest to 1/8.

Long, Shelhamer, Darrell: "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015. The
trunk is the paper's VGG16, or the ResNet-50 that fits the file size Huo et al. print.

    image -> trunk -> 1/8     1/16     1/32
                       |        |        |
                     score    score    score
                       |        |        |
        logits <------ + <----- + <------+
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from rtseg.networks.spec import NetworkOption, NetworkSpec, SegmentationNetwork
from rtseg.networks.zoo import resnet_bottleneck, vgg
from rtseg.networks.zoo.layers import initialize, resize_to, spatial_size
from rtseg.networks.zoo.resnet_bottleneck import ResNet50
from rtseg.networks.zoo.vgg import FullyConvolutionalVGG16

TRUNKS = (ResNet50.name, FullyConvolutionalVGG16.name)
"""torchvision's names; the first is the default."""


class FCN8s(SegmentationNetwork):
    """FCN-8s with logits at 1/8. trunk names the backbone."""

    stride = 8
    align_corners = False

    def __init__(self, classes: int, *, trunk: str = TRUNKS[0]) -> None:
        super().__init__()
        self.trunk: ResNet50 | FullyConvolutionalVGG16
        if trunk == ResNet50.name:
            self.trunk = ResNet50()
            channels = resnet_bottleneck.CHANNELS[1:]
        else:
            self.trunk = FullyConvolutionalVGG16()
            channels = (*vgg.CHANNELS[2:4], FullyConvolutionalVGG16.WIDTH)
        self.backbone = self.trunk.name
        self.scores = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in channels)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / 8, width / 8), for sides of 32 and more."""
        finer = [score(x) for score, x in zip(self.scores, self.trunk(images)[-len(self.scores) :])]
        logits: Tensor = finer.pop()
        while finer:
            scores = finer.pop()
            logits = scores + resize_to(logits, spatial_size(scores))
        return logits

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Copy the ImageNet weights of torchvision's model of the trunk's name into the trunk."""
        self.trunk.load_imagenet(state)


FCN8S = NetworkSpec(
    name="fcn8s",
    title="FCN-8s",
    paper='Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015',
    build=FCN8s,
    loss="ce",
    published_parameters="91.3 MB file (Huo et al., Table 4)",
    options={
        "trunk": NetworkOption(TRUNKS, "the ImageNet classifier that the scores are taken from"),
    },
    stated=(
        "1x1 scores at 1/8, 1/16 and 1/32, upsampled by 2 and summed from the coarsest, then upsampled by 8",
        "VGG16: its first two fully connected layers as convolutions of 7x7 and 1x1 with 4096 channels, dropout 0.5",
        "unnormalised softmax loss; all layers are trained at once or stage by stage",
    ),
    inferred=(
        "ResNet-50 by default: with the paper's three upsampling kernels 23.71 M parameters for 21 classes and, with "
        "batch statistics, 90.7 MiB, where VGG16 has 134.49 M and 513 MiB",
        "upsampling by 2 is bilinear and not learned, to the size of the scores it meets, in place of a transposed "
        "convolution that is cropped: two kernels of 4x4 less; the kernel of 16x16 is the bilinear upsampling by 8",
        "VGG16: images are not padded by 100, the 7x7 convolution by 3 keeps the size; maps of odd sides are halved "
        "rounding down",
        "loss: the mean over the pixels; the scores' initial weights (He et al., fan-out), in the paper zero",
        "ImageNet normalisation, that of torchvision's weights",
    ),
)
