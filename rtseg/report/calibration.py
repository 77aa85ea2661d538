"""What a calibration says when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.calibration.convergence import SETTLED_CHANGE
from rtseg.calibration.table import CalibrationTable, TensorRange

NAMED = 5
"""Tensors that are named, those that are clipped most."""


def calibration_facts(table: CalibrationTable) -> dict[str, Any]:
    """Return what a person or a program wants to know of a table besides the ranges themselves."""
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


def calibration_text(facts: Mapping[str, Any], console: Console) -> None:
    """Print the facts of a table, and the seconds it took."""
    method = facts["method"] if facts["percentile"] is None else f"{facts['method']} {facts['percentile']:g}"
    where = f"{facts['data']} {facts['split']}".strip()
    console.print(
        f"{facts['network']} {facts['resolution']}, {method}: {facts['tensors']} tensors from {facts['pictures']} "
        f"pictures of {where} in {facts['seconds']:.1f} s"
    )
    *before, _ = facts["convergence"]["stages"]
    for stage in before:
        moved = next(iter(stage["moved_most"]), "")
        console.print(
            f"after {stage['pictures']} pictures the thresholds were off by {stage['median_change']:.1%} (median), "
            f"{stage['greatest_change']:.1%} at most{f' ({moved})' if moved else ''}"
        )
    if facts["clipped_most"]:
        console.print(_clipped_table(facts))
    else:
        console.print("no tensor is clipped")


def settling_warning(facts: Mapping[str, Any], *, exhausted: bool) -> str:
    """Return one line where the ranges had not settled, and what to do; an empty string where they had.

    exhausted says that --images has no more pictures to give.
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
    remedy = "a larger set of pictures" if exhausted else f"more pictures, --images {2 * facts['pictures']}"
    return (
        f"warning: the ranges had not settled with {facts['pictures']} pictures{moved} "
        f"(settled: {facts['convergence']['criterion']}). Try: {remedy}"
    )


def _kept_share(found: TensorRange) -> float:
    """Return how much of a tensor's magnitude the threshold keeps; 1 for a tensor that is zero everywhere."""
    greatest = max(-found.minimum, found.maximum)
    return found.threshold / greatest if greatest > 0 else 1.0


def _clipped_table(facts: Mapping[str, Any]) -> Table:
    table = Table(title=f"{facts['clipped_tensors']} of {facts['tensors']} tensors are clipped; the most:")
    table.add_column("tensor")
    table.add_column("threshold / greatest magnitude", justify="right")
    for name, share in facts["clipped_most"].items():
        table.add_row(name, f"{share:.1%}")
    return table
