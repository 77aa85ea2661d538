"""Whether the ranges settled: how the thresholds changed as pictures were added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SETTLED_MEDIAN = 0.02
"""Settled means that from half of the pictures to all the median threshold changes by at most this fraction,"""
SETTLED_SHARE, SETTLED_CHANGE = 0.05, 0.10
"""and at most the first fraction of the thresholds changes by more than the second."""
LEAST_PICTURES = 8
"""With fewer pictures there is no verdict."""
NAMED = 5
"""How many of the tensors that changed most are named."""


def stages(pictures: int) -> tuple[int, ...]:
    """Return the numbers of pictures after which thresholds are compared: a quarter, half and all of them."""
    return tuple(sorted({-(-pictures // 4), -(-pictures // 2), pictures}))


def convergence(thresholds: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    """Return how the thresholds, given by number of pictures and tensor, approached those of all pictures.

    "stages" has, for each number of pictures, the median and the greatest relative change up to the last, the fraction
    of tensors that changed by more than SETTLED_CHANGE, and the tensors that changed most. "settled" is the verdict by
    this module's constants; "criterion" states them as a sentence.
    """
    *before, total = sorted(thresholds)
    entries = [_stage(pictures, thresholds[pictures], thresholds[total]) for pictures in before]
    return {
        "stages": [*entries, _stage(total, thresholds[total], thresholds[total])],
        "settled": total >= LEAST_PICTURES and _settled(entries[-1]),
        "criterion": (
            f"from half of the pictures to all, {LEAST_PICTURES} at least, the median threshold moves by at most "
            f"{SETTLED_MEDIAN:.0%} and at most {SETTLED_SHARE:.0%} of them move by more than {SETTLED_CHANGE:.0%}"
        ),
    }


def _changes(then: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    return {name: abs(then[name] - now[name]) / now[name] for name in now}


def _stage(pictures: int, then: Mapping[str, float], now: Mapping[str, float]) -> dict[str, Any]:
    changes = _changes(then, now)
    moved: Sequence[str] = sorted((name for name in changes if changes[name]), key=lambda name: -changes[name])
    return {
        "pictures": pictures,
        "median_change": float(np.median(list(changes.values()))),
        "greatest_change": max(changes.values()),
        "moved_share": sum(change > SETTLED_CHANGE for change in changes.values()) / len(changes),
        "moved_most": {name: changes[name] for name in moved[:NAMED]},
    }


def _settled(stage: Mapping[str, Any]) -> bool:
    return bool(stage["median_change"] <= SETTLED_MEDIAN and stage["moved_share"] <= SETTLED_SHARE)
