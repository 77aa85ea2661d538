"""The three interfaces of a network as modules: what the graph contains around the network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.frame.protocol import TensorSpec
from rtseg.networks.normalization import NormalizingModule
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import ImageSpec, Resolution


class LogitsInterface(nn.Module):
    """From normalised float32 NCHW to float32 logits at the head's own stride."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 (batch, classes, height / stride, width / stride)."""
        return self.network(image)  # type: ignore[no-any-return]


class ScoresInterface(nn.Module):
    """From normalised float32 NCHW to float32 scores at full resolution: the timing boundary of papers."""

    def __init__(self, network: SegmentationNetwork, resolution: Resolution) -> None:
        super().__init__()
        self.network = network
        self.size = (resolution.height, resolution.width)

    def forward(self, image: Tensor) -> Tensor:
        """Return scores, float32 (batch, classes, height, width)."""
        logits = self.network(image)
        if tuple(map(int, logits.shape[-2:])) == self.size:
            return logits  # type: ignore[no-any-return]
        return F.interpolate(logits, size=self.size, mode="bilinear", align_corners=self.network.align_corners)


class LabelsInterface(NormalizingModule):
    """From uint8 NHWC in the contract's colour order to labels; normalisation, upsampling and argmax are in the graph.

    With a threshold the single channel is compared with it instead of argmax.
    """

    def __init__(self, network: SegmentationNetwork, image: ImageSpec, threshold: float | None = None) -> None:
        super().__init__(image.normalization, batch_axis=True)
        self.scores = ScoresInterface(network, image.resolution)
        self.threshold = threshold

    def forward(self, image: Tensor) -> Tensor:
        """Return labels, uint8 (batch, height, width), of a uint8 image (batch, height, width, 3)."""
        scores = self.scores(self.normalized(image.permute(0, 3, 1, 2)))
        if self.threshold is not None:
            return (scores > self.threshold).squeeze(1).to(torch.uint8)  # type: ignore[no-any-return]
        return scores.argmax(1).to(torch.uint8)  # type: ignore[no-any-return]


def interface_module(network: PreparedNetwork, interface: str, resolution: Resolution) -> tuple[nn.Module, TensorSpec]:
    """Return the module of one interface, in evaluation mode, and the spec of its input."""
    height, width = resolution.height, resolution.width
    image = network.image_spec(resolution)
    if interface == "labels":
        module = LabelsInterface(network.module, image, network.threshold)
        return module.eval(), TensorSpec("image", (1, height, width, 3), "uint8")
    source = TensorSpec("image", (1, 3, height, width), "float32")
    if interface == "scores":
        return ScoresInterface(network.module, resolution).eval(), source
    return LogitsInterface(network.module).eval(), source
