"""A paper's table with what was measured here beside each of its values, and the list of such tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent
from rtseg.cli.show.benchmark_text import UNSTABLE, machine_text, no_miou_lines, short_gpu, verdict_line, verdict_word

FORMATS = {"latency": ".2f", "fps": ".2f", "parameters": ".2f", "macs": ".3f", "weights": ".1f"}
"""Format of our values, by the metric of the column."""

MEANINGS = {
    "parameters": "parameters: those that the logits depend on",
    "macs": "multiply-accumulates: those of convolutions and matrix products up to the logits",
    "weights": "weights: 4 bytes a parameter, batch statistics left out, in 2^20 bytes",
}
"""What exactly our value of a metric counts."""


class _Footnotes:
    """Numbers for footnotes; equal texts share a number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def marks(self, *texts: str) -> str:
        """Return the marks of the texts that are not empty, such as " [1][3]"."""
        numbers = []
        for text in filter(None, texts):
            if text not in self.texts:
                self.texts.append(text)
            numbers.append(f"[{self.texts.index(text) + 1}]")
        return " " + "".join(numbers) if numbers else ""


def print_paper_table(result: Mapping[str, Any], console: Console) -> None:
    """Print the table in the paper's order with our values below the paper's, then notes and the machine."""
    origin, columns, rows = result["table"], result["table"]["columns"], result["rows"]
    footnotes = _Footnotes()
    sources = any(line["source"] != origin["label"] for line in result["lines"])
    sizes = _sizes_with_accuracy(result)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(f"\n{origin['heading']}", no_wrap=True)
    if sources:
        table.add_column("\nsource", no_wrap=True)
    before = ""
    for column in columns:
        heading, size = f"{column['heading']}{footnotes.marks(column['note'])}", column["resolution"] or ""
        above = "" if size == before else size  # a size stands above the first of its columns
        table.add_column(f"{above}\n{heading}", justify="right", no_wrap=True)
        before = size
    for size in sizes:
        table.add_column(f"{size}\nmIoU", justify="right", no_wrap=True)
    for line in result["lines"]:
        cells = [line["label"] + footnotes.marks(_reason(line), line["note"])]
        cells += [line["source"]] if sources else []
        cells += [(cell["printed"] or "-") + footnotes.marks(cell["note"]) for cell in line["cells"]]
        table.add_row(*cells, *(_papers_accuracy(line, columns) for _ in sizes))
        for number, contender in enumerate(result["contenders"]):
            ours = [_here(cell, column, number, rows) for cell, column in zip(line["cells"], columns)]
            accuracy = [_accuracy_here(line, number, size, rows) for size in sizes]
            if line["network"] and any(text != "-" for text in ours):
                table.add_row(*_named(contender), *([""] if sources else []), *ours, *accuracy)
    caption = f"{origin['id']}: {origin['paper']['short']}, {origin['label']}, {origin['caption']}"
    devices = ", ".join(dict.fromkeys(row["device"] for row in rows if row["device"])) or "nothing was timed"
    console.print(caption, style="bold", soft_wrap=True)
    console.print(f"paper: {_gpu(origin)}; here: {devices}; other hardware: not comparable", soft_wrap=True)
    console.print(table)
    for text in [*_explanations(result), *(f"[{n}] {text}" for n, text in enumerate(footnotes.texts, 1))]:
        console.print(text, soft_wrap=True)
    console.print(machine_text(result["environment"]), soft_wrap=True)


def print_paper_list(tables: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print the papers' tables, and which of them print a speed and so can be timed."""
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
    console.print("to time one with a speed: rtseg bench --table ID")


def _named(contender: Mapping[str, str]) -> tuple[str]:
    return (f"  {contender['runner']} {contender['precision']}",)


def _here(cell: Mapping[str, Any], column: Mapping[str, Any], number: int, rows: Sequence[Mapping[str, Any]]) -> str:
    if cell["counted"] is not None:
        return format(cell["counted"], FORMATS[column["metric"]])
    position = cell["rows"][number]
    if position is None:
        return "-"
    row = rows[position]
    if row["summary"] is None:
        return str(row["word"])
    unstable = row["status"] == UNSTABLE
    return ("~" if unstable else "") + format(cell["here"][number], FORMATS[column["metric"]])


def _row_at(line: Mapping[str, Any], number: int, size: str, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the row of a line's network at a size for a contender, {} if there is none."""
    positions = [cell["rows"][number] for cell in line["cells"]]
    found = [rows[position] for position in positions if position is not None and rows[position]["resolution"] == size]
    return found[0] if found else {}


def _sizes_with_accuracy(result: Mapping[str, Any]) -> list[str]:
    """Return the sizes at which accuracy was measured here, in the order of the columns."""
    measured = {row["resolution"] for row in result["rows"] if row["miou"] is not None}
    listed = dict.fromkeys(column["resolution"] for column in result["table"]["columns"])
    return [size for size in listed if size in measured]


def _accuracy_here(line: Mapping[str, Any], number: int, size: str, rows: Sequence[Mapping[str, Any]]) -> str:
    return percent(_row_at(line, number, size, rows).get("miou"))


def _papers_accuracy(line: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> str:
    """Return the paper's accuracy with its dataset, unless a column of the table has it."""
    stated = line["miou"]
    if stated is None or any(column["metric"] == "miou" for column in columns):
        return "-"
    return f"{stated['percent']:g} {stated['dataset']}"


def _reason(line: Mapping[str, Any]) -> str:
    return f"cannot be built: {line['unbuildable']}" if line["unbuildable"] else ""


def _explanations(result: Mapping[str, Any]) -> list[str]:
    origin, rows = result["table"], result["rows"]
    paper = origin["paper"]
    split = f" {origin['split']}" if origin["split"] else ""
    framework = origin["framework"] or "framework not stated"
    texts = [f"paper: {paper['title']}, {paper['venue']}; {_gpu(origin)}, {framework}; {origin['dataset']}{split}"]
    kinds = dict.fromkeys(map(_kind, rows))
    boundaries = "; ".join(f"{name} ({meaning})" for name, meaning in result["boundaries"].items())
    texts.append(f"here: median of one image, boundary {boundaries}; {'; '.join(kinds)}; {result['classes']} classes")
    texts += [
        f"~ {row['status']}: {row['network']} {row['resolution']}, {row['reason']}"
        for row in rows
        if row["status"] == UNSTABLE
    ]
    texts += no_miou_lines(rows)
    texts += dict.fromkeys(f"{row['word']}: {row['reason']}" for row in rows if row["summary"] is None)
    texts += filter(None, dict.fromkeys(map(verdict_line, rows)))
    if verdicts := Counter(verdict_word(row["verdict"]) for row in rows if row["verdict"]):
        counted = ", ".join(f"{number} {word}" for word, number in verdicts.items())
        texts.append(f"precision of the engines, by audit: {counted}")
    if data := result.get("data"):
        texts.append(
            f"mIoU here: {data['name']} {data['split']}, {data['pictures']} pictures, of the file that was timed"
        )
    metrics = {column["metric"] for column in origin["columns"]}
    if all(row["miou"] is None for row in rows):
        texts.append("accuracy here: not measured; --data measures it for trained weights")
    texts += [f"here, {meaning}" for metric, meaning in MEANINGS.items() if metric in metrics]
    for column in origin["columns"]:
        if column["resolution_from"] != "paper":
            texts.append(
                f"{column['name']}: the paper states no size, {column['resolution']} is {column['resolution_from']}"
            )
    return [*texts, *([f"note: {origin['note']}"] if origin["note"] else [])]


def _kind(row: Mapping[str, Any]) -> str:
    """Return precision, weights, runner and device of a row."""
    place = f" on {row['device']}" if row["device"] else ""
    return f"{row['precision']}, weights {row['weights']}, {row['backend']}{place}"


def _gpu(origin: Mapping[str, Any]) -> str:
    return origin["gpu"] or "GPU not stated"
