"""Phrases about the convolutions and matrix products of an engine, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rtseg.engines.layer_precision import product_operator

if TYPE_CHECKING:
    from rtseg.engines.audited_layer import AuditedLayer

NAMED = 3
"""Number of names in a message."""


def products(number: int) -> str:
    """Return the noun, singular or plural by number."""
    return "convolution or matrix product" if number == 1 else "convolutions and matrix products"


def part_of(part: Sequence[AuditedLayer], whole: Sequence[AuditedLayer]) -> str:
    """Return a count with its total, such as "3 of 68 convolutions and matrix products"."""
    return f"{len(part)} of {len(whole)} {products(len(whole))}"


def precisions(layers: Sequence[AuditedLayer]) -> str:
    """Return the precisions of the layers, such as "fp16 and fp32"."""
    return " and ".join(sorted({entry.precision for entry in layers}))


def first_names(layers: Sequence[AuditedLayer]) -> str:
    """Return the names of their first ONNX operators, and the number of the rest."""
    return first_of([product_operator(entry.layer) for entry in layers])


def first_of(names: Sequence[str]) -> str:
    """Return the first names, and the number of the rest."""
    text = ", ".join(names[:NAMED])
    return f"{text} and {len(names) - NAMED} more" if len(names) > NAMED else text
