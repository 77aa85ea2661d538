"""Lower bounds as text and tables: the least time of a frame on each card, and how near a measured time comes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent

SLOWEST = 10
"""Kernels that are printed with their measured times. The JSON has all."""

LONGEST_NAME = 38

NAMED = 3
"""Kernels of unknown products that are named. The JSON has all."""


def bounds_text(bounds: Sequence[Mapping[str, Any]]) -> str:
    """Return one line with the smallest and the largest of one or more lower bounds (LowerBound.summary), in ms.

    The line says so if products are missing from them.
    """
    ordered = sorted(bounds, key=lambda bound: bound["ms"])
    ends = ordered[:1] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    text = " to ".join(f"{_ms(bound['ms'])} ms ({bound['card']['name']})" for bound in ends)
    uncounted = max(bound["uncounted_kernels"] for bound in bounds)
    missing = f"; too low: it lacks the products of {_kernels(uncounted)} (rtseg audit)" if uncounted else ""
    return f"lower bound of a frame: {text}{missing}"


def add_bounds(console: Console, bounds: Sequence[Mapping[str, Any]]) -> None:
    """Print the least time of a frame on each card (LowerBound.to_json); for a single card also the timed kernels."""
    if not bounds:
        return
    timed = bounds[0]["measured_ms"] is not None  # only if there is one card
    single = len(bounds) == 1
    table = Table(title=f"lower bound of a frame{' on ' + bounds[0]['card']['name'] if single else ''}, ms")
    if not single:
        table.add_column("card")
    for heading in ("operations", "memory", "lower bound", "traffic", *(("measured", "reached") if timed else ())):
        table.add_column(heading, justify="right")
    for bound in bounds:
        times = [_ms(bound[key]) for key in ("operations_ms", "memory_ms", "ms", "traffic_ms")]
        table.add_row(*(() if single else (bound["card"]["name"],)), *times, *(_measured(bound) if timed else ()))
    console.print(table)
    for line in _remarks(bounds):
        console.print(line)
    if timed:
        _add_kernels(console, bounds[0]["kernels"])


def _remarks(bounds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "The lower bound is the larger of two times: operations at the highest clock and",
        "memory (inputs, constants and outputs once, and what the L2 cache cannot hold).",
        "Traffic is all data that the kernels list, at full bandwidth; it is no bound.",
    ]
    worst = max(bounds, key=lambda bound: int(bound["uncounted_kernels"]))
    if uncounted := worst["uncounted_kernels"]:
        lines.append(f"The bound is too low: it lacks the products of {_kernels(uncounted)}:")
        named = [_made_of(kernel) for kernel in worst["kernels"] if not kernel["counted"]][:NAMED]
        lines += [f"  {name}" for name in named]
        if uncounted > len(named):
            lines.append(f"  and {uncounted - len(named)} more")
    return lines


def _kernels(number: int) -> str:
    return "1 kernel" if number == 1 else f"{number} kernels"


def _add_kernels(console: Console, kernels: Sequence[Mapping[str, Any]]) -> None:
    measured = sorted(
        (kernel for kernel in kernels if kernel["measured_ms"]), key=lambda kernel: -float(kernel["measured_ms"])
    )
    table = Table(title=f"the {len(measured[:SLOWEST])} kernels that took the longest, ms")
    table.add_column("ONNX operators", overflow="fold")
    for heading in ("lower bound", "measured", "reached"):
        table.add_column(heading, justify="right")
    for kernel in measured[:SLOWEST]:
        table.add_row(_made_of(kernel), _ms(kernel["ms"]), *_measured(kernel))
    console.print(table)


def _made_of(kernel: Mapping[str, Any]) -> str:
    name = next(iter(kernel["operators"]), kernel["name"])
    return str(name) if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _measured(bound: Mapping[str, Any]) -> tuple[str, str]:
    reached = bound["reached"]
    return _ms(bound["measured_ms"]), "-" if reached is None else percent(reached)


def _ms(value: float) -> str:
    return f"{value:.4f}"
