"""The GPUs with known figures: arithmetic rate, memory bandwidth and size of the L2 cache.

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
from rtseg.artifacts.toml_package import toml_package
from rtseg.errors import UnknownNameError

FILE = Path(__file__).with_name("cards.toml")
GEFORCE, WORKSTATION, DATA_CENTRE, JETSON = "GeForce", "workstation", "data centre", "Jetson"
FAMILIES = (GEFORCE, WORKSTATION, DATA_CENTRE, JETSON)

_HALVED_ON_GEFORCE = ("bf16", "tf32")
"""Precisions that accumulate in FP32; GeForce cards do that at half the rate of their tensor cores."""

_FASTEST = {"fp32": ("fp32", "tf32"), "tf32": ("fp32", "tf32")}
"""A product of FP32 tensors may be computed in TF32; the layer information does not always show it."""

_MAKER = re.compile(r"\b(?:nvidia|geforce|quadro|tesla)\b|[^a-z0-9]+")


@dataclass(frozen=True)
class Card:
    """One GPU.

    rates maps a precision to the dense operations of one multiprocessor in one clock (a multiply-accumulate is two), on
    any card of its compute capability. Clocks are in MHz: boost_mhz from the data sheet, most_mhz the highest that the
    driver allows. bandwidth_gb_s is in 10^9 bytes per second, l2_mib in 2^20 bytes. source names where the figures come
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
        """Size of the L2 cache in bytes."""
        return int(self.l2_mib * (1 << 20))

    def operations_per_second(self, precision: str) -> float | None:
        """Return the highest rate of a precision at the highest clock; None if the card does not support it.

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
    """Return the card of that name; case, spaces and words such as NVIDIA or GeForce are ignored.

    "rtx3090" and "NVIDIA GeForce RTX 3090" are RTX 3090. Raises UnknownNameError.
    """
    found = card_of_gpu(name)
    if found is None:
        raise UnknownNameError("card", name, [card.name for card in cards()])
    return found


def card_of_gpu(name: str) -> Card | None:
    """Return the card of a name that a driver or a user gives, None if it is not in the table."""
    return next((card for card in cards() if _plain(card.name) == _plain(name)), None)


def _plain(name: str) -> str:
    return _MAKER.sub("", name.lower())
