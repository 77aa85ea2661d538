"""Count the parameters and multiply-accumulates of a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.specs import Resolution

ANY_MULTIPLE = 128
"""An image side that every network supports, large enough that no pooling removes everything."""


@dataclass(frozen=True)
class Parameters:
    """trained counts all parameters, auxiliary heads included; deployed counts those that the main logits depend on."""

    trained: int
    deployed: int


def meta_network(spec: NetworkSpec, classes: int, options: Mapping[str, str] | None = None) -> SegmentationNetwork:
    """Return the network on the meta device, without memory for its parameters, in evaluation mode."""
    with torch.device("meta"), _NoRandomNumbers():
        return spec.build(classes, **spec.complete_options(options or {})).eval()


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves out random weights: PyTorch draws none without memory, but takes a second to find that out."""

    _DRAWING = frozenset((Tensor.normal_, Tensor.uniform_))

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return args[0] if function in self._DRAWING else function(*args, **(kwargs or {}))


def count_parameters(network: SegmentationNetwork) -> Parameters:
    """Return the counts of a network on the meta device."""
    return _counted(network, Resolution(ANY_MULTIPLE, ANY_MULTIPLE))[0]


def count_macs(network: SegmentationNetwork, resolution: Resolution, name: str) -> int:
    """Return the multiply-accumulates of one image up to the logits, for a network on the meta device.

    Convolutions and matrix products are counted, as in papers. Raises SpecError for a resolution that does not fit.
    """
    return complexity(network, resolution, name)[1]


def complexity(network: SegmentationNetwork, resolution: Resolution, name: str) -> tuple[Parameters, int]:
    """Return the results of count_parameters and count_macs from a single run. Raises SpecError."""
    resolution.require_multiple_of(network.multiple, name)
    return _counted(network, resolution)


def _counted(network: SegmentationNetwork, resolution: Resolution) -> tuple[Parameters, int]:
    with FlopCounterMode(display=False) as counter:
        logits = network(torch.empty(1, 3, resolution.height, resolution.width, device="meta"))
    parameters = list(network.parameters())
    reached = _leaves(logits)
    deployed = sum(p.numel() for p in parameters if p in reached)
    return Parameters(sum(p.numel() for p in parameters), deployed), int(counter.get_total_flops()) // 2


def _leaves(logits: Tensor) -> set[Tensor]:
    """Return the parameters that the logits would pass a gradient to, from autograd's graph."""
    seen, leaves, waiting = set(), set(), [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            leaves.add(leaf)
        waiting += [following for following, _ in node.next_functions]
    return leaves
