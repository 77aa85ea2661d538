"""What `rtseg doctor` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_ANSWERS = {True: "yes", False: "no", None: "-"}


def print_installation(facts: Mapping[str, Any], console: Console) -> None:
    """Print a line for each package and each step, a remedy for each failure, and a summary (installation_facts)."""
    rtseg = f"rtseg {facts['versions'].get('rtseg', '(not installed)')}"
    console.print(f"{rtseg} on {facts['machine']}, Python {facts['python']}", soft_wrap=True)
    console.print(f"cache: {facts['cache']}", soft_wrap=True)
    console.print(_table("package", facts["findings"]))
    console.print(_table("step", facts["chain"]))
    console.print(facts["summary"], soft_wrap=True)


def _table(what: str, findings: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with each remedy below its finding, so that both fit 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(what, no_wrap=True, min_width=21)
    table.add_column("works", no_wrap=True)
    table.add_column("found, and the remedy")
    for finding in findings:
        mend = f"\n> {finding['mend']}" if finding["mend"] else ""
        table.add_row(finding["name"], _ANSWERS[finding["works"]], f"{finding['seen']}{mend}")
    return table
