"""The table of a validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with two decimals, or a dash for None."""
    return "-" if value is None else f"{value * 100:.2f} %"


def print_accuracy(facts: Mapping[str, Any], console: Console) -> None:
    """Print IoU and share of each class, and the means, of one artifact on one split (AccuracyResult.to_json)."""
    table = Table(title=f"{facts['artifact']}\n{facts['data']} {facts['split']}, {facts['pictures']} pictures")
    table.add_column("class")
    table.add_column("IoU", justify="right")
    table.add_column("share of pixels", justify="right")
    for name, iou in facts["class_iou"].items():
        table.add_row(name, percent(iou), percent(facts["class_share"][name]))
    table.add_section()
    table.add_row("mIoU", percent(facts["miou"]), "")
    table.add_row("pixel accuracy", percent(facts["pixel_accuracy"]), "")
    table.add_row("mean class accuracy", percent(facts["mean_class_accuracy"]), "")
    console.print(table)
    console.print(f"{facts['precision']}, computed on {facts['device']} by {facts['runner']}")
