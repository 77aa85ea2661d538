"""The table of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def networks_text(facts: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a table, then for each network its paper, what it states and what was inferred."""
    first = facts[0]
    table = Table(title=f"{len(facts)} networks, {first['classes']} classes, {first['resolution']}")
    for heading, justify in (
        ("network", "left"),
        ("parameters", "right"),
        ("published", "right"),
        ("GMAC", "right"),
        ("logits at", "right"),
        ("loss", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for entry in facts:
        macs = "-" if entry["macs"] is None else f"{entry['macs'] / 1e9:.2f}"
        table.add_row(
            entry["name"],
            f"{entry['parameters']:,}",
            entry["published_parameters"] or "-",
            macs,
            f"1/{entry['logits_stride']}",
            entry["loss"],
        )
    console.print(table)
    for entry in facts:
        console.print(f"\n{entry['name']}  {entry['paper']}", style="bold", soft_wrap=True)
        for option, choices in entry["options"].items():
            console.print(f"  option    {option} = {' | '.join(choices)}", soft_wrap=True)
        for kind in ("stated", "inferred"):
            for line in entry[kind]:
                console.print(f"  {kind:<9} {line}", soft_wrap=True)
