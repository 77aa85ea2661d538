"""Parameters and multiply-accumulates of a network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from rtseg.networks.spec import NetworkSpec
from rtseg.specs import Resolution


@dataclass(frozen=True)
class Complexity:
    """parameters counts what is deployed and trained alike, auxiliary heads included where a network has them."""

    parameters: int
    inference_macs: int


def complexity(spec: NetworkSpec, resolution: Resolution, *, classes: int) -> Complexity:
    """Return a registered network's counts, without allocating or computing anything.

    The multiply-accumulates are those of convolutions and matrix products for one image up to the
    logits, the way the papers count. Raises SpecError for a resolution that does not fit.
    """
    resolution.require_multiple_of(spec.stride, spec.name)
    with torch.device("meta"), torch.inference_mode():
        module = spec.build(classes).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            module(torch.empty(1, 3, resolution.height, resolution.width))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Complexity(parameters, counter.get_total_flops() // 2)
