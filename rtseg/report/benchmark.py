"""The benchmark table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.report.accuracy import percent


def benchmark_text(result: Mapping[str, Any], console: Console) -> None:
    """Print one row for each boundary, the paper's row beside it, and what each column means."""
    table = Table(title=f"latency of one image, {result['resolution']}")
    for heading, justify in (
        ("network", "left"),
        ("weights", "left"),
        ("boundary", "left"),
        ("device", "left"),
        ("median ms", "right"),
        ("p90", "right"),
        ("p99", "right"),
        ("FPS", "right"),
        ("CoV", "right"),
        ("n", "right"),
        ("status", "left"),
        ("mIoU", "right"),
        ("paper", "left"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    previous = None
    for row in result["rows"]:
        if previous not in (None, row["network"]):
            table.add_section()
        previous = row["network"]
        summary = row["summary"]
        table.add_row(
            f"{row['network']} {row['precision']}",
            row["weights"],
            row["boundary"],
            f"{row['device']}, {row['backend']}",
            f"{summary['median_ms']:.2f}",
            f"{summary['p90_ms']:.2f}",
            f"{summary['p99_ms']:.2f}",
            "-" if summary["fps"] is None else f"{summary['fps']:.1f}",
            percent(summary["cv"]),
            str(summary["count"]),
            row["status"],
            percent(row["miou"]),
            "\n".join(paper_text(claim) for claim in row["paper"]) or "-",
        )
    console.print(table)
    for name, meaning in result["boundaries"].items():
        console.print(f"{name:<8} {meaning}", soft_wrap=True)
    for row in result["rows"]:
        if row["status"] != "STABLE":
            console.print(f"{row['network']} {row['boundary']} is {row['status']}: {row['reason']}", soft_wrap=True)
    if any(row["paper"] for row in result["rows"]):
        console.print("The paper's row is another GPU, framework and boundary: beside, not against.", soft_wrap=True)
    console.print(_circumstances(result["environment"]), soft_wrap=True)


def paper_text(claim: Mapping[str, Any]) -> str:
    """Return a paper's row in a few words: ms, FPS, mIoU, GPU, where it stands."""
    parts = []
    if claim["latency_ms"] is not None:
        parts.append(f"{claim['latency_ms']:g} ms")
    if claim["fps"] is not None:
        parts.append(f"{claim['fps']:g} FPS")
    if claim["miou_percent"] is not None:
        parts.append(f"{claim['miou_percent']:g} % mIoU {claim['dataset']}")
    return f"{', '.join(parts)} on {claim['gpu']} ({claim['source']})"


def _circumstances(environment: Mapping[str, Any]) -> str:
    cpu = environment["cpu"]
    tools = environment["tools"]
    gpus = ", ".join(gpu["name"] for gpu in environment["gpus"]) or "no GPU"
    load = environment["load_average"]
    return (
        f"{cpu['model']}, {cpu['available_cores']} cores, {gpus}; "
        f"torch {tools.get('torch', '-')}, onnxruntime {tools.get('onnxruntime', '-')}; "
        f"load {load[0] if load else '-'} before the run"
    )
