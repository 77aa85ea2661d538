"""Lower bounds as a person reads them: within 80 columns, and never called a time or a limit."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from rtseg.cli.show.bound_text import add_bounds, bounds_text


def bound(name: str, ms: float, *, measured: float | None = None, uncounted: int = 0) -> dict[str, Any]:
    kernel = {"name": "k", "operators": ["/network/deep/deep.0/" * 4 + "Conv"], "ms": ms / 2, "counted": not uncounted}
    both = {"measured_ms": measured, "reached": None if measured is None else ms / measured}
    return {
        "card": {"name": name},
        "ms": ms,
        "operations_ms": ms / 3,
        "memory_ms": ms,
        "traffic_ms": 4 * ms,
        "uncounted_kernels": uncounted,
        "kernels": [{**kernel, **both}] * max(1, uncounted),
        **both,
    }


def printed(*bounds: dict[str, Any]) -> list[str]:
    console = Console(file=io.StringIO(), width=80, highlight=False, markup=False, emoji=False)
    add_bounds(console, bounds)
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_one_line_names_the_fastest_and_the_slowest_card() -> None:
    told = bounds_text([bound("RTX 3060 12 GB", 0.25), bound("RTX 5090", 0.01), bound("RTX 4090", 0.02)])
    assert told == "lower bound of a frame: 0.0100 ms (RTX 5090) to 0.2500 ms (RTX 3060 12 GB)"
    assert bounds_text([bound("RTX 3090", 0.25)]) == "lower bound of a frame: 0.2500 ms (RTX 3090)"


def test_each_card_has_a_row_and_traffic_is_said_to_be_no_limit() -> None:
    lines = printed(bound("RTX 4000 Ada Generation", 0.3), bound("RTX 4090", 0.03))
    assert cells(lines[4]) == ["RTX 4000 Ada Generation", "0.1000", "0.3000", "0.3000", "1.2000"]
    assert lines[-1] == "Traffic is all data that the kernels list, at full bandwidth; it is no bound."
    assert max(map(len, lines)) <= 80


def test_measured_times_stand_beside_with_the_part_that_was_reached() -> None:
    lines = printed(bound("RTX 3090", 0.3, measured=0.6))
    assert "lower bound of a frame on RTX 3090, ms" in lines[0]
    assert cells(lines[4]) == ["0.1000", "0.3000", "0.3000", "1.2000", "0.6000", "50.00 %"]
    row = next(line for line in lines if "Conv" in line)
    assert cells(row)[1:] == ["0.1500", "0.6000", "50.00 %"] and row.startswith("│ …")
    assert max(map(len, lines)) <= 80


def test_a_bound_that_lacks_products_says_so_and_names_the_first_kernels() -> None:
    lines = printed(bound("RTX 3090", 0.3), bound("RTX 4090", 0.2, uncounted=5))
    assert lines[-5] == "The bound is too low: it lacks the products of 5 kernels:"
    assert all(line.startswith("  …") and line.endswith("/Conv") for line in lines[-4:-1])
    assert lines[-1] == "  and 2 more"
    assert printed(bound("RTX 3090", 0.3, uncounted=1))[-2].startswith(
        "The bound is too low: it lacks the products of 1 kernel:"
    )


def test_the_line_of_a_build_says_how_many_kernels_the_bound_lacks() -> None:
    told = bounds_text([bound("RTX 3090", 0.25, uncounted=3), bound("RTX 4090", 0.25, uncounted=2)])
    assert told.endswith("(RTX 4090); too low: it lacks the products of 3 kernels (rtseg audit)")


def test_without_a_card_nothing_is_printed() -> None:
    assert printed() == []
