"""The GPUs whose figures are known: how fast they multiply, how fast their memory is, what their cache holds.

The figures and their sources are in cards.toml beside this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rtseg.artifacts.files import read_utf8
from rtseg.engines.toml_package import toml_package
from rtseg.errors import UnknownNameError

FILE = Path(__file__).with_name("cards.toml")
GEFORCE, WORKSTATION, DATA_CENTRE, JETSON = "GeForce", "workstation", "data centre", "Jetson"
FAMILIES = (GEFORCE, WORKSTATION, DATA_CENTRE, JETSON)

_HALVED_ON_GEFORCE = ("bf16", "tf32")
"""What accumulates in FP32: GeForce cards do that at half the rate of their tensor cores."""

_FASTEST = {"fp32": ("fp32", "tf32"), "tf32": ("fp32", "tf32")}
"""A product of FP32 tensors may be computed in TF32, and the text of an engine does not always tell."""

_MAKER = re.compile(r"\b(?:nvidia|geforce|quadro|tesla)\b|[^a-z0-9]+")


@dataclass(frozen=True)
class Card:
    """One GPU.

    rates are the operations of one multiprocessor in one clock by precision, a multiply-accumulate being two, dense, on
    any card of its compute capability. The clocks are in MHz: boost_mhz is the data sheet's, most_mhz the highest that
    the driver allows. bandwidth_gb_s is in 10^9 bytes a second, l2_mib in 2^20 bytes. source is where the figures are
    from.
    """

    name: str
    family: str
    compute_capability: str
    multiprocessors: int
    boost_mhz: float
    most_mhz: float
    bandwidth_gb_s: float
    l2_mib: float
    rates: Mapping[str, float]
    source: str

    @property
    def l2_bytes(self) -> int:
        """What the L2 cache holds."""
        return int(self.l2_mib * (1 << 20))

    def operations_per_second(self, precision: str) -> float | None:
        """Return the fastest rate of a precision at the highest clock; None where the card has none.

        precision is one of layer_precision.LAYER_PRECISIONS.
        """
        found = [self._rate(name) for name in _FASTEST.get(precision, (precision,)) if name in self.rates]
        return max(found) * self.multiprocessors * self.most_mhz * 1e6 if found else None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "name": self.name,
            "family": self.family,
            "compute_capability": self.compute_capability,
            "multiprocessors": self.multiprocessors,
            "boost_mhz": self.boost_mhz,
            "most_mhz": self.most_mhz,
            "bandwidth_gb_s": self.bandwidth_gb_s,
            "l2_mib": self.l2_mib,
            "rates": dict(self.rates),
            "source": self.source,
        }

    def _rate(self, precision: str) -> float:
        halved = self.family == GEFORCE and precision in _HALVED_ON_GEFORCE
        return self.rates[precision] / (2 if halved else 1)


@cache
def cards() -> tuple[Card, ...]:
    """Return every card of the table, in its order. Raises SpecError before Python 3.11 without the package tomli."""
    data = toml_package("the figures of GPUs").loads(read_utf8(FILE))
    return tuple(Card(rates=data["rates"][entry["compute_capability"]], **entry) for entry in data["cards"])


def card_named(name: str) -> Card:
    """Return the card of that name, in which case, spaces and the maker's words do not count.

    "rtx3090" and "NVIDIA GeForce RTX 3090" are RTX 3090. Raises UnknownNameError.
    """
    found = card_of_gpu(name)
    if found is None:
        raise UnknownNameError("card", name, [card.name for card in cards()])
    return found


def card_of_gpu(name: str) -> Card | None:
    """Return the card that a driver or a user calls so, None where it is not in the table."""
    return next((card for card in cards() if _plain(card.name) == _plain(name)), None)


def _plain(name: str) -> str:
    return _MAKER.sub("", name.lower())
