"""Where a graph is quantised: a plan, made by the rules of a target and carried out by the insertion."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Callable, NamedTuple

from rtseg.errors import UnknownNameError
from rtseg.graphs.view import GraphView


class Use(NamedTuple):
    """One reading of a tensor: by the node of that name, as that input."""

    node: str
    position: int


@dataclass(frozen=True)
class Placement:
    """What reads INT8.

    uses: for each activation tensor the readings that go through its pair of QuantizeLinear and DequantizeLinear; the
    other readers keep the float tensor. weights: the nodes whose second input, a constant, is quantised, with its
    output channels on axis 0. shared: tensors that have to have one scale, as the operator between them
    only moves values (Concat, MaxPool). left: every operator with weights that stays in floating point, and why.
    """

    uses: Mapping[str, frozenset[Use]]
    weights: frozenset[str]
    shared: tuple[frozenset[str], ...]
    left: Mapping[str, str]


Rules = Callable[[GraphView, Collection[str]], Placement]
"""The plan for a graph, given the names of the nodes that have to stay as they are."""

TARGETS = ("tensorrt", "onnxruntime")


def placement_for(target: str, view: GraphView, excluded: Collection[str] = ()) -> Placement:
    """Return the plan for that target. Nodes in excluded neither read INT8 nor have weights in it.

    Raises UnknownNameError for a target that is none.
    """
    from rtseg.quantize.onnxruntime_rules import onnxruntime_placement
    from rtseg.quantize.tensorrt_rules import tensorrt_placement

    rules: dict[str, Rules] = {"tensorrt": tensorrt_placement, "onnxruntime": onnxruntime_placement}
    if target not in rules:
        raise UnknownNameError("target", target, rules)
    return rules[target](view, excluded)
