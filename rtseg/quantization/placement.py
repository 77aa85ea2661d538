"""Where a graph is quantised: a plan, made by the rules of a target and carried out by the insertion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


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
    products: the matrix products of a tensor and a constant, both of which are among the uses.
    """

    uses: Mapping[str, frozenset[Use]]
    weights: frozenset[str]
    shared: tuple[frozenset[str], ...]
    left: Mapping[str, str]
    products: frozenset[str] = frozenset()

    @property
    def multiplying(self) -> frozenset[str]:
        """The names of the operators that multiply in INT8."""
        return self.weights | self.products
