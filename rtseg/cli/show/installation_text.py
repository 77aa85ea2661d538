"""What `rtseg doctor` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_installation(facts: Mapping[str, Any], console: Console) -> None:
    """Print a line for each part, and the command for what is missing."""
    table = Table(title=f"rtseg {facts['versions'].get('rtseg', '(not installed)')} on {facts['machine']}")
    for heading in ("part", "works", "seen", "to mend it"):
        table.add_column(heading)
    for finding in facts["findings"]:
        table.add_row(finding["name"], "yes" if finding["works"] else "no", finding["seen"], finding["mend"])
    console.print(table)
    console.print(f"Python {facts['python']}; cache: {facts['cache']}", soft_wrap=True)
