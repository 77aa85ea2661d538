"""Parameters and multiply-accumulates of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.specs import Resolution

ANY_MULTIPLE = 128
"""A side that every network takes, and from which nothing is pooled away."""


@dataclass(frozen=True)
class Parameters:
    """trained counts all, auxiliary heads included; deployed counts those that the main logits depend on."""

    trained: int
    deployed: int


def meta_network(spec: NetworkSpec, classes: int, options: Mapping[str, str] | None = None) -> SegmentationNetwork:
    """Return the network without any memory behind its parameters, in evaluation mode."""
    with torch.device("meta"):
        return spec.build(classes, **spec.complete_options(options or {})).eval()


def count_parameters(network: SegmentationNetwork) -> Parameters:
    """Return the counts of a network on the meta device: what gets a gradient from the main logits is deployed."""
    parameters = list(network.parameters())
    logits = network(torch.empty(1, 3, ANY_MULTIPLE, ANY_MULTIPLE, device="meta"))
    gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    deployed = sum(p.numel() for p, gradient in zip(parameters, gradients) if gradient is not None)
    return Parameters(sum(p.numel() for p in parameters), deployed)


def count_macs(network: SegmentationNetwork, resolution: Resolution, name: str) -> int:
    """Return the multiply-accumulates of one image up to the logits, for a network on the meta device.

    Those of convolutions and matrix products, the way the papers count. Raises SpecError for a
    resolution that does not fit.
    """
    resolution.require_multiple_of(network.multiple, name)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, resolution.height, resolution.width, device="meta"))
    return int(counter.get_total_flops()) // 2
