"""The table of a labelling run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent


def print_labelling(facts: Mapping[str, Any], console: Console) -> None:
    """Print the share of each class over all pixels, largest first, and the inputs that failed."""
    frames = sum(entry["frames"] for entry in facts["inputs"])
    table = Table(title=f"{frames} frame{'s' * (frames != 1)}, {facts['pixels']:,} pixels")
    table.add_column("class")
    table.add_column("share of pixels", justify="right")
    for name, share in sorted(facts["class_share"].items(), key=lambda entry: -float(entry[1])):
        table.add_row(name, percent(share))
    console.print(table)
    for failure in facts["failures"]:
        console.print(f"not labelled: {failure['error']}", soft_wrap=True)
    console.print(f"computed on {facts['device']}")
