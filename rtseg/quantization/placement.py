"""A placement: the plan where to quantize a graph. A target's rules make it; insertion applies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Use(NamedTuple):
    """One use of a tensor: by the node of that name, as that input."""

    node: str
    position: int


@dataclass(frozen=True)
class Placement:
    """The uses of tensors that become INT8.

    uses: for each activation tensor, the uses that read it through its pair of QuantizeLinear and DequantizeLinear;
    other readers keep the float tensor. weights: the nodes whose second input, a constant, is quantized, with its
    output channels on axis 0. shared: tensors that need the same scale, because the operator between them only moves
    values (Concat, MaxPool). left: every operator with weights that stays in floating point, with the reason. products:
    the matrix products of a tensor and a constant; both are among the uses.
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
