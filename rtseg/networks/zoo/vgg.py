"""VGG16 as a trunk: five feature maps, no classifier.

Simonyan, Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
Table 1, configuration D. Parameters carry torchvision's names, so that ImageNet weights saved by
torchvision load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from rtseg.networks.zoo.imagenet import load_imagenet

CONVOLUTIONS = (2, 2, 3, 3, 3)
"""3x3 convolutions per stage."""

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the five feature maps, finest first."""


class VGG16(nn.Module):
    """The five convolutional stages of VGG16.

    The feature maps lie at 1, 1/2, 1/4, 1/8 and 1/16. With pooled True each is followed by its 2x2
    maximum and lies at half of that, rounded down.
    """

    name = "vgg16"

    def __init__(self, *, pooled: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        ends = []
        in_channels = 3
        for convolutions, channels in zip(CONVOLUTIONS, CHANNELS):
            for _ in range(convolutions):
                layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
                in_channels = channels
            layers.append(nn.MaxPool2d(2))
            ends.append(len(layers) - 1 if pooled else len(layers) - 2)
        self.ends = frozenset(ends)
        self.features = nn.Sequential(*layers[: max(ends) + 1])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the five stages, finest first, with 64, 128, 256, 512 and 512 channels."""
        maps = []
        x = images
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.ends:
                maps.append(x)
        return tuple(maps)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of torchvision's vgg16. Raises CheckpointError for those of another model."""
        load_imagenet(self, state, model=self.name, classifier=("classifier.",))


class FullyConvolutionalVGG16(VGG16):
    """VGG16 whose first two fully connected layers are convolutions (Long et al., CVPR 2015, section 3.1).

    Its five maps are the pooled ones, the last replaced by the 4096 channels of the second layer, at 1/32.
    """

    WIDTH = 4096

    def __init__(self) -> None:
        super().__init__(pooled=True)
        self.classifier = nn.Sequential(
            nn.Conv2d(CHANNELS[-1], self.WIDTH, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Conv2d(self.WIDTH, self.WIDTH, 1),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return five maps at 1/2 to 1/32, with 64, 128, 256, 512 and 4096 channels."""
        *finer, coarsest = super().forward(images)
        return (*finer, self.classifier(coarsest))

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of torchvision's vgg16, its first two fully connected layers as convolutions.

        Raises CheckpointError for those of another model.
        """
        own = self.state_dict()
        reshaped = {
            key: value.reshape(own[key].shape) if key in own and value.numel() == own[key].numel() else value
            for key, value in state.items()
        }
        load_imagenet(self, reshaped, model=self.name, classifier=("classifier.6.",))
