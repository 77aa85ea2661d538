"""The benchmark table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent


def print_benchmark(result: Mapping[str, Any], console: Console) -> None:
    """Print one row for each boundary, the paper's row beside it, then what the words mean."""
    rows = result["rows"]
    table = Table(
        title=f"latency of one image in ms, {result['resolution']}", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    for column in _columns(rows):
        table.add_column(column.heading, justify=column.justify, no_wrap=column.heading != "paper")
    previous = None
    for row in rows:
        # Rows measured in turns are there to be compared at one boundary, others to be read network by network.
        group = row["network"] if row["vs_first"] is None else row["boundary"]
        if previous not in (None, group):
            table.add_section()
        previous = group
        table.add_row(*(column.cell(row) for column in _columns(rows)))
    console.print(table)
    _legend(result, console)


def paper_text(claim: Mapping[str, Any]) -> str:
    """Return a paper's row in a few words: ms, FPS and the GPU."""
    figures = [(claim["latency_ms"], "ms"), (claim["fps"], "FPS")]
    parts = [f"{value:g} {unit}" for value, unit in figures if value is not None]
    return f"{' '.join(parts) or '-'}, {short_gpu(claim['gpu']) or 'GPU not stated'}"


class _Column(NamedTuple):
    heading: str
    justify: Literal["left", "right"]
    cell: Callable[[Mapping[str, Any]], str]


_NETWORK = _Column("network", "left", lambda row: row["network"])
_RESOLUTION = _Column("size", "left", lambda row: row["resolution"])
_IDENTITY = (
    _Column("weights", "left", lambda row: row["weights"].split()[0]),
    _Column("boundary", "left", lambda row: row["boundary"]),
    _Column("on", "left", lambda row: row["device"].split()[0]),
    _Column("runner", "left", lambda row: row["backend"]),
    _Column("precision", "left", lambda row: row["precision"]),
)
_FIGURES = (
    _Column("median", "right", lambda row: f"{row['summary']['median_ms']:.2f}"),
    _Column("p90", "right", lambda row: f"{row['summary']['p90_ms']:.2f}"),
    _Column("p99", "right", lambda row: f"{row['summary']['p99_ms']:.2f}"),
    _Column("FPS", "right", lambda row: _or_dash(row["summary"]["fps"], ".1f")),
    _Column("CoV", "right", lambda row: _or_dash(row["summary"]["cv"], ".1%")),
    _Column("n", "right", lambda row: str(row["summary"]["count"])),
)
_VS_FIRST = _Column("vs first", "right", lambda row: _or_dash(row["vs_first"], ".2f"))
_OUTCOME = (
    _Column("", "left", lambda row: "" if row["status"] == "STABLE" else row["status"]),
    _Column("mIoU", "right", lambda row: percent(row["miou"])),
    _Column("paper", "left", lambda row: "\n".join(_paper_lines(row["paper"])) or "-"),
)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[_Column]:
    """Return the columns, those that say nothing of these rows left out."""
    sizes = [_RESOLUTION] if len({row["resolution"] for row in rows}) > 1 else []
    ratios = [_VS_FIRST] if any(row["vs_first"] is not None for row in rows) else []
    return [_NETWORK, *sizes, *_IDENTITY, *_FIGURES, *ratios, *_OUTCOME]


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _paper_lines(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the claims in a few words each, without those that say nothing beyond another one."""
    texts = list(dict.fromkeys(map(paper_text, claims)))
    return [text for text in texts if not any(other.endswith(f" {text}") for other in texts)]


def _legend(result: Mapping[str, Any], console: Console) -> None:
    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    rows = result["rows"]
    for name, meaning in result["boundaries"].items():
        line(f"{name:<8} {meaning}")
    if any(row["vs_first"] is not None for row in rows):
        line("vs first: median over that of the first row of the same boundary; all of a boundary measured in turns")
    for text in dict.fromkeys(
        f"{row['network']}: {row['precision']}, weights {row['weights']}; {row['backend']} on {row['device']}"
        for row in rows
    ):
        line(text)
    for row in rows:
        if row["status"] != "STABLE":
            named = f"{row['network']} {row['boundary']} {row['precision']} with {row['backend']}"
            line(f"{row['status']}: {named}, {row['reason']}")
    for text in dict.fromkeys(_claim_line(row["network"], claim) for row in rows for claim in row["paper"]):
        line(text)
    line(machine_text(result["environment"]))


def _claim_line(network: str, claim: Mapping[str, Any]) -> str:
    accuracy = f", {claim['miou_percent']:g} % mIoU on {claim['dataset']}" if claim["miou_percent"] is not None else ""
    note = f" ({claim['note']})" if claim["note"] else ""
    return (
        f"paper, {network}: {claim['source']}, {claim['gpu']}, {claim['framework']}, boundary network{accuracy}{note}; "
        "other hardware: beside, not against"
    )


def short_gpu(name: str) -> str:
    """Return a GPU's name without its maker's; "" where the paper states none."""
    return name.replace("NVIDIA ", "").replace("GeForce ", "")


def machine_text(environment: Mapping[str, Any]) -> str:
    """Return machine, versions and load of a run in one line."""
    cpu = environment["cpu"]
    tools = environment["tools"]
    gpus = ", ".join(gpu["name"] for gpu in environment["gpus"]) or "no GPU"
    load = environment["load_average"]
    versions = ", ".join(f"{name} {tools.get(name, '-')}" for name in ("torch", "onnxruntime", "openvino"))
    return (
        f"machine: {cpu['model']}, {cpu['available_cores']} cores, {gpus}; {versions}; "
        f"load {load[0] if load else '-'} before the run"
    )
