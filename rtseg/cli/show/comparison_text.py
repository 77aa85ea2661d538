"""The table of two artifacts on the same pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent


def print_comparison(facts: Mapping[str, Any], console: Console) -> None:
    """Print candidate A beside reference B, thin classes first, their agreement, and whether the gate passed."""
    labelled = facts["labelled"]
    table = Table(title=_title(facts))
    table.add_column("class")
    columns = ["border", "pixels"]
    columns += ["IoU of B", "IoU of A", "A - B", "95 % interval"] if labelled else ["agreement"]
    for heading in columns:
        table.add_column(heading, justify="right")
    for entry in facts["classes"]:
        row = [entry["name"], percent(entry["border_share"]), percent(entry["share"])]
        table.add_row(*row, *(_accuracy_cells(entry) if labelled else [percent(entry["agreement"])]))
    if labelled:
        table.add_section()
        _add_totals(table, facts)
    console.print(table)
    for line in _lines(facts):
        console.print(line, soft_wrap=True)


def _title(facts: Mapping[str, Any]) -> str:
    where = " ".join(filter(None, (facts["data"], facts["split"])))
    lines = [
        f"A  {facts['candidate']['artifact']}",
        f"B  {facts['reference']['artifact']}",
        f"{where}, {_pictures(facts['pictures'])}",
    ]
    return "\n".join(lines if facts["labelled"] else [*lines, "no labels: agreement with B, not accuracy"])


def _accuracy_cells(entry: Mapping[str, Any]) -> list[str]:
    return [
        percent(entry["reference_iou"]),
        percent(entry["candidate_iou"]),
        _points(entry["difference_points"]),
        _interval(entry["interval_points"]),
    ]


def _add_totals(table: Table, facts: Mapping[str, Any]) -> None:
    ours, theirs = facts["candidate"]["accuracy"], facts["reference"]["accuracy"]
    difference, interval = _points(facts["difference_points"]), _interval(facts["interval_points"])
    table.add_row("mIoU", "", "", percent(theirs["miou"]), percent(ours["miou"]), difference, interval)
    for key in ("pixel_accuracy", "mean_class_accuracy"):
        change = _points((ours[key] - theirs[key]) * 100)
        table.add_row(key.replace("_", " "), "", "", percent(theirs[key]), percent(ours[key]), change, "")


def _lines(facts: Mapping[str, Any]) -> list[str]:
    ours, theirs, width = facts["candidate"], facts["reference"], facts["border_width"]
    near = facts["border_pixels"] / facts["pixels"]
    lines = [
        f"pixels that agree: {percent(facts['agreement'])}; within {width} pixels of a border in B, "
        f"which are {percent(near)} of all: {percent(facts['border_agreement'])}",
        f"border: share of a class's pixels within {width} pixels of another label, "
        f"in {'the labels' if facts['labelled'] else 'B'}; thin classes stand first",
    ]
    if facts["labelled"]:
        lines.append(_interval_line(facts))
    if ours["resolution"] != theirs["resolution"]:
        lines.append(
            f"A sees pictures at {ours['resolution']}, B at {theirs['resolution']}: "
            "they are compared at the size of the pictures"
        )
    for name, side in (("A", ours), ("B", theirs)):
        lines.append(f"{name}: {side['precision']}, computed on {side['device']} by {side['runner']}")
    if facts["gate"] is not None:
        lines.append(_gate_line(facts))
    return lines


def _interval_line(facts: Mapping[str, Any]) -> str:
    if facts["pictures"] < 2:
        return "one picture gives no interval"
    return (
        f"A - B in points; intervals from a paired bootstrap over the {facts['pictures']} pictures, "
        f"{facts['resamples']} resamples; none for a class that is in fewer than 2 pictures"
    )


def _gate_line(facts: Mapping[str, Any]) -> str:
    gate = facts["gate"]
    bounds = []
    if gate["max_drop_points"] is not None:
        bounds.append(f"at most {gate['max_drop_points']:g} points of mIoU lost")
    if gate["min_agreement_percent"] is not None:
        bounds.append(f"at least {gate['min_agreement_percent']:g} % of the pixels agree")
    text = f"gate: {'passed' if gate['passed'] else 'FAILED'} ({', '.join(bounds)})"
    if gate["certain"] is False:
        text += f"; too few pictures ({facts['pictures']}) to be sure of the mIoU"
        if facts["interval_points"] is not None:
            low, high = facts["interval_points"]
            text += f", which may have dropped by {0 - high:.2f} to {0 - low:.2f}"
    if gate["classes_that_lost_more"]:
        losses = ", ".join(f"{name} {loss:.2f}" for name, loss in gate["classes_that_lost_more"].items())
        text += f"; more than {gate['max_drop_points']:g} points were lost by {losses}"
    return text


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number} pictures"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:+.2f} to {ends[1]:+.2f}"
