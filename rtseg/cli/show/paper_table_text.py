"""A paper's table with what was measured here beside each of its values, and the list of such tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rtseg.cli.show.benchmark_text import machine_text, short_gpu

FORMATS = {"latency": ".2f", "fps": ".2f", "parameters": ".2f", "macs": ".3f", "weights": ".1f"}
"""How a value of ours is written, by its column's metric."""

MEANINGS = {
    "parameters": "parameters: those that the logits depend on",
    "macs": "multiply-accumulates: those of convolutions and matrix products up to the logits",
    "weights": "weights: 4 bytes a parameter, batch statistics left out, in 2^20 bytes",
    "miou": "accuracy: not measured, the weights are random",
}
"""What our value of a metric is, where the heading leaves it open."""


class _Footnotes:
    """Numbers for texts, one number for the same text."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def marks(self, *texts: str) -> str:
        """Return the marks of those texts that are not empty, such as " [1][3]"."""
        numbers = []
        for text in filter(None, texts):
            if text not in self.texts:
                self.texts.append(text)
            numbers.append(f"[{self.texts.index(text) + 1}]")
        return " " + "".join(numbers) if numbers else ""


def print_paper_table(result: Mapping[str, Any], console: Console) -> None:
    """Print the table in the paper's own order, each value beside ours, then notes and circumstances."""
    origin, columns, lines = result["table"], result["table"]["columns"], result["lines"]
    footnotes = _Footnotes()
    sources = any(line["source"] != origin["label"] for line in lines)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column(f"\n{origin['heading']}", no_wrap=True)
    if sources:
        table.add_column("\nsource", no_wrap=True)
    for column in columns:
        above = column["resolution"] or ""
        heading = f"{column['heading']}{footnotes.marks(column['note'])}"
        table.add_column(f"{above}\n{heading}\npaper", justify="right", no_wrap=True)
        table.add_column("\n\nhere", justify="right", no_wrap=True)
    for line in lines:
        cells = [line["label"] + footnotes.marks(_reason(line), line["note"])]
        cells += [line["source"]] if sources else []
        for column, cell in zip(columns, line["cells"]):
            cells += [(cell["printed"] or "-") + footnotes.marks(cell["note"]), _here(cell, column, result["rows"])]
        table.add_row(*cells)
    caption = f"{origin['id']}: {origin['paper']['short']}, {origin['label']}, {origin['caption']}"
    devices = ", ".join(dict.fromkeys(row["device"] for row in result["rows"]))
    console.print(caption, style="bold", soft_wrap=True)
    console.print(f"paper: {_gpu(origin)}; here: {devices}; other hardware: beside, not against", soft_wrap=True)
    console.print(table)
    for text in [*_explanations(result), *(f"[{n}] {text}" for n, text in enumerate(footnotes.texts, 1))]:
        console.print(text, soft_wrap=True)
    console.print(machine_text(result["environment"]), soft_wrap=True)


def print_paper_list(tables: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print what tables there are, and which of them print a speed and so can be run."""
    listed = Table(title=f"{len(tables)} tables of the papers", box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("table", "paper", "label", "what it compares", "speed at", "GPU"):
        listed.add_column(heading)
    for table in tables:
        speed = ", ".join(table["resolutions"]) or "a size not stated"
        listed.add_row(
            table["id"],
            table["paper"]["short"],
            table["label"],
            table["caption"],
            speed if table["speed"] else "-",
            short_gpu(table["gpu"]) or "-",
        )
    console.print(listed)
    console.print("those with a speed can be run: rtseg bench --table ID")


def _here(cell: Mapping[str, Any], column: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    if cell["here"] is None:
        return "-"
    unstable = cell["row"] is not None and rows[cell["row"]]["status"] != "STABLE"
    return ("~" if unstable else "") + format(cell["here"], FORMATS[column["metric"]])


def _reason(line: Mapping[str, Any]) -> str:
    return f"cannot be built: {line['unbuildable']}" if line["unbuildable"] else ""


def _explanations(result: Mapping[str, Any]) -> list[str]:
    origin, rows = result["table"], result["rows"]
    paper = origin["paper"]
    split = f" {origin['split']}" if origin["split"] else ""
    framework = origin["framework"] or "framework not stated"
    texts = [f"paper: {paper['title']}, {paper['venue']}; {_gpu(origin)}, {framework}; {origin['dataset']}{split}"]
    kinds = dict.fromkeys(
        f"{row['precision']}, weights {row['weights']}, {row['backend']} on {row['device']}" for row in rows
    )
    boundaries = "; ".join(f"{name} ({meaning})" for name, meaning in result["boundaries"].items())
    texts.append(f"here: median of one image, boundary {boundaries}; {'; '.join(kinds)}; {result['classes']} classes")
    texts += [
        f"~ {row['status']}: {row['network']} {row['resolution']}, {row['reason']}"
        for row in rows
        if row["status"] != "STABLE"
    ]
    metrics = {"miou" if column["metric"] in ("iou", "pa") else column["metric"] for column in origin["columns"]}
    texts += [f"here, {meaning}" for metric, meaning in MEANINGS.items() if metric in metrics]
    for column in origin["columns"]:
        if column["resolution_from"] != "paper":
            texts.append(
                f"{column['name']}: the paper states no size, {column['resolution']} is {column['resolution_from']}"
            )
    return [*texts, *([f"note: {origin['note']}"] if origin["note"] else [])]


def _gpu(origin: Mapping[str, Any]) -> str:
    return origin["gpu"] or "GPU not stated"
