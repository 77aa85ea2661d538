"""The benchmark table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rtseg.report.accuracy import percent

LEFT, RIGHT = "left", "right"


def benchmark_text(result: Mapping[str, Any], console: Console) -> None:
    """Print one row for each boundary, the paper's row beside it, then what the words mean."""
    rows = result["rows"]
    table = Table(title=f"latency of one image in ms, {result['resolution']}", box=box.SIMPLE_HEAD, padding=(0, 1))
    columns = [("network", LEFT), ("weights", LEFT), ("boundary", LEFT), ("on", LEFT)]
    columns += [(name, RIGHT) for name in ("median", "p90", "p99", "FPS", "CoV", "n")]
    columns += [("", LEFT), ("mIoU", RIGHT), ("paper", LEFT)]
    for heading, justify in columns:
        table.add_column(heading, justify=justify, no_wrap=heading != "paper")  # type: ignore[arg-type]
    previous = rows[0]["network"]
    for row in rows:
        if row["network"] != previous:
            table.add_section()
        previous = row["network"]
        table.add_row(*_cells(row))
    console.print(table)
    _legend(result, console)


def paper_text(claim: Mapping[str, Any]) -> str:
    """Return a paper's row in a few words: ms, FPS and the GPU."""
    figures = [(claim["latency_ms"], "ms"), (claim["fps"], "FPS")]
    parts = [f"{value:g} {unit}" for value, unit in figures if value is not None]
    return f"{' '.join(parts) or '-'}, {short_gpu(claim['gpu']) or 'GPU not stated'}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    summary = row["summary"]
    return [
        row["network"],
        row["weights"].split()[0],
        row["boundary"],
        row["device"].split()[0],
        f"{summary['median_ms']:.2f}",
        f"{summary['p90_ms']:.2f}",
        f"{summary['p99_ms']:.2f}",
        "-" if summary["fps"] is None else f"{summary['fps']:.1f}",
        "-" if summary["cv"] is None else f"{summary['cv']:.1%}",
        str(summary["count"]),
        "" if row["status"] == "STABLE" else row["status"],
        percent(row["miou"]),
        "\n".join(_paper_lines(row["paper"])) or "-",
    ]


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
    for text in dict.fromkeys(
        f"{row['network']}: {row['precision']}, weights {row['weights']}; {row['backend']} on {row['device']}"
        for row in rows
    ):
        line(text)
    for row in rows:
        if row["status"] != "STABLE":
            line(f"{row['status']}: {row['network']} {row['boundary']}, {row['reason']}")
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
    return (
        f"machine: {cpu['model']}, {cpu['available_cores']} cores, {gpus}; torch {tools.get('torch', '-')}, "
        f"onnxruntime {tools.get('onnxruntime', '-')}; load {load[0] if load else '-'} before the run"
    )
