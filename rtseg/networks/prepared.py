"""A network ready for use: the module with its weights, and the contracts that go with it.

Every network on the command line becomes one of these: a registered name, a checkpoint, or a factory of the user
(`--module package.module:factory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from rtseg.networks.registry import network_spec
from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.specs import FITS, PADDING, ClassSpec, ImageSpec, Normalization, OutputSpec, Resolution


@dataclass(frozen=True)
class PreparedNetwork:
    """A module with weights. weights names their origin; spec is None for a user's own network.

    head is the name of the output with the logits, "" for a module with no other output. threshold is for a module with
    one channel for its two classes, None if each class has its own. fit and padding are those of ImageSpec.
    """

    name: str
    module: SegmentationNetwork
    classes: ClassSpec
    normalization: Normalization
    weights: str
    options: Mapping[str, str] = field(default_factory=dict)
    spec: NetworkSpec | None = None
    parent_sha256: str | None = None
    head: str = ""
    threshold: float | None = None
    fit: str = FITS[0]
    padding: int = PADDING

    def image_spec(self, resolution: Resolution) -> ImageSpec:
        """Return the image contract at resolution. Raises SpecError unless its sides are multiples of the module's."""
        resolution.require_multiple_of(self.module.multiple, self.name)
        return ImageSpec.of(resolution, self.normalization, fit=self.fit, padding=self.padding)

    def output_spec(self, interface: str) -> OutputSpec:
        """Return the output contract of one of the three interfaces."""
        return OutputSpec(
            self.classes, interface, self.module.stride, self.module.align_corners, threshold=self.threshold
        )


def build_network(
    name: str, classes: ClassSpec, *, options: Mapping[str, str] | None = None, seed: int = 0
) -> PreparedNetwork:
    """Return a registered network with its initial weights, to be loaded or trained.

    Raises UnknownNameError.
    """
    spec = network_spec(name)
    complete = spec.complete_options(options or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = spec.build(len(classes), **complete)
    return PreparedNetwork(
        name=name,
        module=module.eval(),
        classes=classes,
        normalization=spec.normalization_for(classes.dataset),
        weights=f"random (seed {seed})",
        options=complete,
        spec=spec,
    )


def network_with_random_weights(
    name: str, classes: ClassSpec, *, options: Mapping[str, str] | None = None, seed: int = 0
) -> PreparedNetwork:
    """Return an untrained registered network that can be exported and timed.

    Its batch statistics are those of noise. Without them activations grow without bounds: multiplicative attention
    overflows, and on a CPU even the speed differs. Raises UnknownNameError.
    """
    network = build_network(name, classes, options=options, seed=seed)
    settle_batch_statistics(network.module, network.normalization, seed=seed)
    return network


def settle_batch_statistics(module: SegmentationNetwork, normalization: Normalization, *, seed: int = 0) -> None:
    """Set the running mean and variance of every batch normalisation to those of seeded noise images."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (normalization.mean, normalization.std))
    training = module.training
    module.train()
    for layer in layers:
        layer.momentum = None  # the plain average over all batches
        layer.reset_running_stats()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        pixels = torch.randint(0, 256, (2, 3, 128, 128)).float()
        module.training_logits(pixels * (normalization.scale / std) - mean / std)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    module.train(training)
