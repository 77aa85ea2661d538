"""The benchmark table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent


def print_benchmark(result: Mapping[str, Any], console: Console) -> None:
    """Print a row for each boundary with the paper's results beside it, then explain the terms."""
    columns = _columns(result["rows"])
    left_out: list[str] = []
    table = _table(result, columns)
    for heading in EXPENDABLE:
        if console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum <= console.width:
            break
        if any(column.heading == heading for column in columns):
            columns = [column for column in columns if column.heading != heading]
            left_out.append(heading)
            table = _table(result, columns)
    console.print(table)
    if left_out:
        console.print(f"a wider terminal also shows {', '.join(left_out)}; --json has all", soft_wrap=True)
    _legend(result, console)


def _table(result: Mapping[str, Any], columns: Sequence[_Column]) -> Table:
    title = f"latency of one image in ms, {result['resolution']}"
    table = Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True)
    for column in columns:
        table.add_column(column.heading, justify=column.justify, no_wrap=True)
    turns = any(row["vs_first"] is not None for row in result["rows"])
    previous = None
    for row in result["rows"]:
        # Rows measured in turns are compared at one boundary; others are read network by network.
        group = row["boundary"] if turns else row["network"]
        if previous not in (None, group):
            table.add_section()
        previous = group
        table.add_row(*(column.cell(row) for column in columns))
    return table


def paper_text(claim: Mapping[str, Any]) -> str:
    """Return a paper's result as short text: ms, FPS and the GPU."""
    figures = [(claim["latency_ms"], "ms"), (claim["fps"], "FPS")]
    parts = [f"{value:g} {unit}" for value, unit in figures if value is not None]
    return f"{' '.join(parts) or '-'}, {short_gpu(claim['gpu']) or 'GPU not stated'}"


UNSTABLE = "UNSTABLE"

EXPENDABLE = ("paper", "CoV", "n", "p99", "weights", "p90", "on", "size", "verdict", "vs first", "mIoU", "boundary")
"""The columns that a narrow terminal leaves out, in this order."""

_UNLIMITED = 1000
"""Width of a console on which every table fits."""


class _Column(NamedTuple):
    heading: str
    justify: Literal["left", "right"]
    cell: Callable[[Mapping[str, Any]], str]


_NETWORK = _Column("network", "left", lambda row: row["network"])
_FILE = _Column("file", "left", lambda row: row["file"] or "-")
_RESOLUTION = _Column("size", "left", lambda row: row["resolution"])
_IDENTITY = (
    _Column("weights", "left", lambda row: row["weights"].split()[0]),
    _Column("boundary", "left", lambda row: row["boundary"]),
    _Column("on", "left", lambda row: row["device"].partition(" ")[0] or "-"),
    _Column("runner", "left", lambda row: row["backend"]),
    _Column("precision", "left", lambda row: row["precision"]),
)
_FIGURES = (
    _Column("median", "right", lambda row: _median(row)),
    _Column("p90", "right", lambda row: _figure(row, "p90_ms", ".2f")),
    _Column("p99", "right", lambda row: _figure(row, "p99_ms", ".2f")),
    _Column("FPS", "right", lambda row: _figure(row, "fps", ".1f")),
    _Column("CoV", "right", lambda row: _figure(row, "cv", ".1%")),
    _Column("n", "right", lambda row: _figure(row, "count", "d")),
)
_VERDICT = _Column("verdict", "left", lambda row: verdict_word(row["verdict"]))
_VS_FIRST = _Column("vs first", "right", lambda row: _or_dash(row["vs_first"], ".2f"))
_OUTCOME = (
    _Column("mIoU", "right", lambda row: percent(row["miou"])),
    _Column("paper", "left", lambda row: "\n".join(_paper_lines(row["paper"])) or "-"),
)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[_Column]:
    """Return the columns, without those that would be the same or empty in all rows."""
    sizes = [_RESOLUTION] if len({row["resolution"] for row in rows}) > 1 else []
    files = [_FILE] if len({row["file"] for row in rows}) > 1 else []
    ratios = [_VS_FIRST] if any(row["vs_first"] is not None for row in rows) else []
    verdicts = [_VERDICT] if any(row["verdict"] for row in rows) else []
    return [_NETWORK, *files, *sizes, *_IDENTITY, *_FIGURES, *ratios, *verdicts, *_OUTCOME]


def verdict_word(verdict: Mapping[str, Any] | None) -> str:
    """Return the result of an engine's audit as "proven", "not proven" or "not as asked", a dash without an audit."""
    if verdict is None:
        return "-"
    return "not proven" if verdict["undecided"] else "proven" if verdict["passed"] else "not as asked"


def _median(row: Mapping[str, Any]) -> str:
    """Return the median, marked if it is unstable, or a word for why there is none."""
    mark = "~" if row["status"] == UNSTABLE else ""
    return f"{mark}{_figure(row, 'median_ms', '.2f')}" if row["summary"] else str(row["word"])


def _figure(row: Mapping[str, Any], name: str, form: str) -> str:
    return _or_dash(row["summary"][name] if row["summary"] else None, form)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _paper_lines(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the claims as short texts, without those that another text contains."""
    texts = list(dict.fromkeys(map(paper_text, claims)))
    return [text for text in texts if not any(other.endswith(f" {text}") for other in texts)]


def _legend(result: Mapping[str, Any], console: Console) -> None:
    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    rows = result["rows"]
    for name, meaning in result["boundaries"].items():
        line(f"{name:<8} {meaning}")
    if any(row["vs_first"] is not None for row in rows):
        line("vs first: median over that of the first timed row of the same boundary; all of a boundary took turns")
    for text in dict.fromkeys(_what_ran(row) for row in rows if row["summary"]):
        line(text)
    for text in no_miou_lines(rows):
        line(text)
    for text in dict.fromkeys(map(_exception, rows)):
        if text:
            line(text)
    for text in dict.fromkeys(verdict_line(row) for row in rows if verdict_line(row)):
        line(text)
    for text in dict.fromkeys(_claim_line(row["network"], claim) for row in rows for claim in row["paper"]):
        line(text)
    line(machine_text(result["environment"]))


def no_miou_lines(rows: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Return why rows have no mIoU although a dataset was given, each reason once for a network."""
    return list(dict.fromkeys(f"no mIoU: {row['network']}, {row['why_no_miou']}" for row in rows if row["why_no_miou"]))


def _what_ran(row: Mapping[str, Any]) -> str:
    return f"{row['network']}: {row['precision']}, weights {row['weights']}; {row['backend']} on {row['device']}"


def _exception(row: Mapping[str, Any]) -> str:
    """Return why a row has no time or an unstable one, "" for a stable row."""
    named = f"{row['network']} {row['resolution']} {row['precision']} with {row['backend']}"
    if row["summary"] is None:
        return f"{row['word']}: {named}, {row['reason']}"
    return f"~ {row['status']}: {named}, {row['boundary']}: {row['reason']}" if row["status"] == UNSTABLE else ""


def verdict_line(row: Mapping[str, Any]) -> str:
    """Return the failures and notices in the audit of a row's engine, "" if there are none."""
    verdict = row["verdict"] or {"undecided": "", "failures": [], "notices": []}
    remarks = verdict["undecided"] or "; ".join((*verdict["failures"], *verdict["notices"]))
    engine = f"{row['network']} {row['resolution']} {row['precision']} with {row['backend']}"
    return f"{verdict_word(verdict)}: {engine}, {remarks}" if remarks else ""


def _claim_line(network: str, claim: Mapping[str, Any]) -> str:
    accuracy = f", {claim['miou_percent']:g} % mIoU on {claim['dataset']}" if claim["miou_percent"] is not None else ""
    note = f" ({claim['note']})" if claim["note"] else ""
    return (
        f"paper, {network}: {claim['source']}, {claim['gpu']}, {claim['framework']}, boundary network{accuracy}{note}; "
        "measured on other hardware: not comparable"
    )


def short_gpu(name: str) -> str:
    """Return a GPU's name without its maker and brand; "" if the paper states none."""
    return name.replace("NVIDIA ", "").replace("GeForce ", "")


def machine_text(environment: Mapping[str, Any]) -> str:
    """Return the machine, the versions and the load before a run, as one line."""
    cpu = environment["cpu"]
    tools = environment["tools"]
    gpus = ", ".join(gpu["name"] for gpu in environment["gpus"]) or "no GPU"
    load = environment["load_average"]
    versions = ", ".join(f"{name} {tools.get(name, '-')}" for name in ("torch", "onnxruntime", "openvino"))
    return (
        f"machine: {cpu['model']}, {cpu['available_cores']} cores, {gpus}; {versions}; "
        f"load {load[0] if load else '-'} before the run"
    )
