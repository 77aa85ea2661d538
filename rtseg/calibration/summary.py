"""Facts about a table besides its ranges: what is clipped, and whether the ranges settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtseg.calibration.convergence import SETTLED_CHANGE
from rtseg.calibration.table import CalibrationTable, TensorRange

NAMED = 5
"""How many of the tensors that are clipped most are named."""


def calibration_facts(table: CalibrationTable) -> dict[str, Any]:
    """Return the facts about a table for a report, as plain values, without the ranges themselves."""
    clipped = {name: _kept_share(found) for name, found in table.ranges.items()}
    most = sorted((name for name in clipped if clipped[name] < 1), key=lambda name: clipped[name])[:NAMED]
    return {
        "network": table.network,
        "resolution": str(table.image.resolution),
        "method": table.method,
        "percentile": table.percentile,
        "data": table.data,
        "split": table.split,
        "pictures": len(table.pictures),
        "tensors": len(table.ranges),
        "clipped_tensors": sum(share < 1 for share in clipped.values()),
        "clipped_most": {name: clipped[name] for name in most},
        "convergence": dict(table.convergence),
    }


def settling_warning(facts: Mapping[str, Any], *, exhausted: bool) -> str:
    """Return one line with the remedy if the ranges did not settle, else "".

    exhausted means that --images has no more pictures to give.
    """
    if facts["convergence"]["settled"]:
        return ""
    stages = facts["convergence"]["stages"]
    moved = (
        f"; from {stages[-2]['pictures']} on, the median moved by {stages[-2]['median_change']:.1%} and "
        f"{stages[-2]['moved_share']:.0%} of the thresholds by more than {SETTLED_CHANGE:.0%}"
        if len(stages) > 1
        else ""
    )
    remedy = "use a larger set of pictures" if exhausted else f"use {2 * facts['pictures']} pictures"
    return (
        f"the ranges had not settled with {facts['pictures']} pictures{moved} "
        f"(settled: {facts['convergence']['criterion']}). Try: {remedy}"
    )


def _kept_share(found: TensorRange) -> float:
    """Return how much of a tensor's magnitude the threshold keeps; 1 for a tensor that is always zero."""
    greatest = max(-found.minimum, found.maximum)
    return found.threshold / greatest if greatest > 0 else 1.0
