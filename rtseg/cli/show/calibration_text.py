"""What a calibration prints at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_calibration(facts: Mapping[str, Any], console: Console) -> None:
    """Print what a table was made of, how long it took, how the thresholds converged, and the most clipped tensors."""
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
            f"after {stage['pictures']} pictures the thresholds differed from the final ones by "
            f"{stage['median_change']:.1%} (median), {stage['greatest_change']:.1%} at most"
            f"{f' ({moved})' if moved else ''}"
        )
    if facts["clipped_most"]:
        console.print(_clipped_table(facts))
    else:
        console.print("no tensor is clipped")


def _clipped_table(facts: Mapping[str, Any]) -> Table:
    table = Table(title=f"{facts['clipped_tensors']} of {facts['tensors']} tensors are clipped; the most:")
    table.add_column("tensor")
    table.add_column("threshold / greatest magnitude", justify="right")
    for name, share in facts["clipped_most"].items():
        table.add_row(name, f"{share:.1%}")
    return table
