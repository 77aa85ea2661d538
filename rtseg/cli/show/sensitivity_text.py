"""The blocks of a network, ranked by the loss that INT8 causes in each, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.artifacts.files import require_writable, written_atomically
from rtseg.cli.show.accuracy_text import percent
from rtseg.errors import MissingDependencyError, WriteError

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
LOSS_COLOUR, GAIN_COLOUR, TOGETHER_COLOUR, INTERVAL_COLOUR = "#3b6ea5", "#a9b8c6", "#b5523b", "#333333"
LONGEST_NAME = 40
"""Characters of a block's name in the plot. A longer name is cut at its start: its end sets it apart from others."""


def print_sensitivity(facts: Mapping[str, Any], console: Console) -> None:
    """Print the blocks, the one that loses most first, and the loss of all together."""
    labelled = facts["labelled"]
    table = Table(title=f"{facts['artifact']}\n{_circumstances(facts)}")
    table.add_column("only this block in INT8", overflow="fold")
    drop = ["points of mIoU lost", "95 % interval"] if labelled else []
    for heading in ("MACs", *drop, "equal pixels", "near borders"):
        table.add_column(heading, justify="right")
    for entry in facts["blocks"]:
        table.add_row(entry["block"], percent(entry["macs_share"]), *_cells(entry, labelled))
    table.add_section()
    share = sum(entry["macs_share"] for entry in facts["blocks"])
    table.add_row("all of them", percent(share), *_cells(facts["together"], labelled))
    console.print(table)
    legend = "against FP32; everything else stays FP32. MACs: the block's share of the network's work"
    console.print(legend if labelled else f"{legend}. No labels: agreement with FP32, not accuracy")
    console.print(f"computed on {facts['device']} by {facts['runner']}")


def require_plot(path: Path) -> None:
    """Raise what sensitivity_plot would raise for that path, before the long work that it is to draw."""
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise WriteError(
            f"a plot cannot be written as {path.name}", expected=f"a name that ends in {', '.join(PLOT_SUFFIXES)}"
        )
    _require_matplotlib()
    require_writable(path)


def sensitivity_plot(facts: Mapping[str, Any], path: Path) -> None:
    """Write a bar chart of the losses, with intervals if they were measured; the suffix selects the format.

    Raises MissingDependencyError without matplotlib, and WriteError.
    """
    require_plot(path)
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labelled = facts["labelled"]
    together = {**facts["together"], "block": "all of them together", "macs_share": None}
    entries = [*facts["blocks"], together]
    losses = [entry["drop_points"] if labelled else (1 - entry["agreement"]) * 100 for entry in entries]
    rows = range(len(entries))
    figure = Figure(figsize=(9, 1.7 + 0.3 * len(entries)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(rows, losses, color=_colours(losses), height=0.7)
    for row, entry in zip(rows, entries):
        if labelled and entry["interval_points"] is not None:
            axes.plot(entry["interval_points"], (row, row), color=INTERVAL_COLOUR, linewidth=1)
    axes.set_yticks(rows, [_row_name(entry) for entry in entries], parse_math=False)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.axhline(len(entries) - 1.5, color="black", linewidth=0.5)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(
        "points of mIoU lost against FP32 (line: 95 % interval)" if labelled else "percent of pixels unlike FP32"
    )
    figure.suptitle(
        f"{facts['network']} {facts['resolution']}: what INT8 costs in one block alone\n"
        f"{_circumstances(facts)}, run by {facts['runner']}",
        fontsize=10,
        parse_math=False,
    )
    with written_atomically(path) as part, matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(part, dpi=150)


def _require_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("matplotlib", extra="report", purpose="drawing a plot") from error


def _colours(losses: Sequence[float]) -> list[str]:
    """Return a colour for each block by the sign of its loss, and last the colour for all together."""
    return [*(LOSS_COLOUR if loss > 0 else GAIN_COLOUR for loss in losses[:-1]), TOGETHER_COLOUR]


def _row_name(entry: Mapping[str, Any]) -> str:
    name = str(entry["block"])
    if len(name) > LONGEST_NAME:
        name = "…" + name[-LONGEST_NAME + 1 :]
    return name if entry["macs_share"] is None else f"{name}  ({entry['macs_share'] * 100:.1f} % of the MACs)"


def _circumstances(facts: Mapping[str, Any]) -> str:
    where = " ".join(filter(None, (facts["data"], facts["split"])))
    pictures = "1 picture" if facts["pictures"] == 1 else f"{facts['pictures']} pictures"
    return f"{where}, {pictures}, placed for {facts['target']}"


def _cells(entry: Mapping[str, Any], labelled: bool) -> list[str]:
    drop = [_points(entry["drop_points"]), _interval(entry["interval_points"])] if labelled else []
    return [*drop, percent(entry["agreement"]), percent(entry["border_agreement"])]


def _points(value: float) -> str:
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def _interval(ends: Sequence[float] | None) -> str:
    return "-" if ends is None else f"{_points(ends[0])} to {_points(ends[1])}"
