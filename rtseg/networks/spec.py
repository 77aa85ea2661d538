"""The contract of a network's module, and the facts about the network with their sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Callable

from torch import Tensor, nn

from rtseg.errors import CheckpointError, UnknownNameError
from rtseg.specs import IMAGENET_NORMALIZATION, Normalization, Resolution


class SegmentationNetwork(nn.Module, ABC):
    """A module that turns normalised images into class logits.

    stride is the image's side over the logits' side. align_corners is the rule by which the network's
    paper upsamples the logits. backbone is torchvision's name of the classifier whose ImageNet
    weights load_backbone takes, "" if there is none. auxiliary_heads is the name of the submodule
    that training_logits alone uses and a checkpoint may leave out, "" if there is none.
    """

    stride: int
    align_corners: bool = False
    backbone: str = ""
    auxiliary_heads: str = ""

    @property
    def multiple(self) -> int:
        """The number that an image's sides must be multiples of: the stride, unless a network needs more."""
        return self.stride

    @property
    def named_weights(self) -> nn.Module:
        """The module whose state_dict has the names that checkpoints use: this one, unless it wraps another."""
        return self

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes, height / stride, width / stride) for float32 NCHW images."""

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits first, then those of the auxiliary heads, each at its own stride."""
        return (self(images),)

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of torchvision's ImageNet classifier into the backbone.

        Raises CheckpointError for the weights of another model, and if there is no such backbone.
        """
        raise CheckpointError(f"{type(self).__name__} has no backbone with ImageNet weights")

    def copy_backbone(self, other: SegmentationNetwork) -> None:
        """Copy the backbone of another network, which has it in `trunk` as this one has.

        Raises CheckpointError if the backbones differ.
        """
        ours, theirs = (getattr(network, "trunk", None) for network in (self, other))
        if not self.backbone or other.backbone != self.backbone or ours is None or theirs is None:
            raise CheckpointError(
                "the two networks have not the same backbone",
                got=f"{other.backbone or 'none'} in {type(other).__name__}",
                expected=f"{self.backbone or 'none'} as in {type(self).__name__}",
            )
        ours.load_state_dict(theirs.state_dict())

    def for_inference(self) -> SegmentationNetwork:
        """Return a network with the same logits up to rounding, for less work on a CPU; self if there is none.

        It is what gets exported. Its parameters are no longer those of a checkpoint.
        """
        return self

    def for_gpu(self, resolution: Resolution) -> SegmentationNetwork:
        """Return a network with the same logits up to rounding, for a GPU's compiler; self if there is none.

        It takes one picture at a time and, in general, no other size than the resolution. Its parameters are no longer
        those of a checkpoint.
        """
        return self


@dataclass(frozen=True)
class NetworkOption:
    """A named choice a network offers; the first value is the default."""

    choices: tuple[str, ...]
    meaning: str

    @property
    def default(self) -> str:
        """The value taken when the user names none."""
        return self.choices[0]


@dataclass(frozen=True)
class NetworkSpec:
    """The facts of a registered network. stated lists what the paper says, inferred what we chose.

    official_names maps the parameter names of the authors' own checkpoints to ours, and to None for a
    layer that their code never calls; an unknown name stays unchanged.
    """

    name: str
    title: str
    paper: str
    build: Callable[..., SegmentationNetwork]
    loss: str
    published_parameters: str | None
    stated: tuple[str, ...]
    inferred: tuple[str, ...]
    options: Mapping[str, NetworkOption] = field(default_factory=dict)
    normalization: Normalization = IMAGENET_NORMALIZATION
    official_names: Callable[[Collection[str]], dict[str, str | None]] | None = None
    normalization_by_dataset: Mapping[str, Normalization] = field(default_factory=dict)

    def normalization_for(self, dataset: str) -> Normalization:
        """Return how the network's authors normalise that dataset's images."""
        return self.normalization_by_dataset.get(dataset, self.normalization)

    def complete_options(self, options: Mapping[str, str]) -> dict[str, str]:
        """Return every option with its value. Raises UnknownNameError for others and for other values."""
        for name, value in options.items():
            if name not in self.options:
                raise UnknownNameError(f"option of {self.name}", name, self.options)
            if value not in self.options[name].choices:
                raise UnknownNameError(f"value of {self.name}'s option {name}", value, self.options[name].choices)
        return {name: options.get(name, option.default) for name, option in self.options.items()}
