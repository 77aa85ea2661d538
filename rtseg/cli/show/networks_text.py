"""The table of networks, and the details of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.cli.show.benchmark_text import paper_text


def print_networks(facts: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print one row for each network: its parameters, its multiply-accumulates and its loss."""
    first = facts[0]
    trained = any(entry["parameters"] != entry["deployed_parameters"] for entry in facts)
    count = "1 network" if len(facts) == 1 else f"{len(facts)} networks"
    table = Table(title=f"{count}, {first['classes']} classes, {first['resolution']}")
    table.add_column("network", no_wrap=True)
    table.add_column("parameters", justify="right")
    if trained:
        table.add_column("trained", justify="right")
    table.add_column("published")
    for heading in ("GMAC", "logits at"):
        table.add_column(heading, justify="right")
    table.add_column("loss")
    for entry in facts:
        different = entry["parameters"] != entry["deployed_parameters"]
        table.add_row(
            entry["name"],
            f"{entry['deployed_parameters']:,}",
            *([f"{entry['parameters']:,}" if different else ""] if trained else []),
            _published(entry),
            "-" if entry["macs"] is None else f"{entry['macs'] / 1e9:.2f}",
            f"1/{entry['logits_stride']}",
            entry["loss"],
        )
    console.print(table)


def print_network_details(facts: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print each network's paper, options and backbone, what was stated or inferred, and published results."""
    for entry in facts:
        console.print(f"\n{entry['name']}  {entry['paper']}", style="bold", soft_wrap=True)
        lines = [("published", entry["published_parameters"])] if entry["published_parameters"] else []
        lines += [
            ("option", f"{name} = {' | '.join(option['choices'])}: {option['meaning']}")
            for name, option in entry["options"].items()
        ]
        lines += [("available", entry["at_hand"])] if entry["at_hand"] else []
        lines += [("backbone", f"{entry['backbone']}, ImageNet weights of torchvision")] if entry["backbone"] else []
        lines += [(kind, text) for kind in ("stated", "inferred") for text in entry[kind]]
        lines += [("paper", _claim_text(claim)) for claim in entry["claims"]]
        for kind, text in lines:
            console.print(f"  {kind:<9} {text}", soft_wrap=True)


def _published(entry: Mapping[str, Any]) -> str:
    """Return the published number of parameters without its source; without one, which part of the paper is known."""
    if entry["published_parameters"]:
        return str(entry["published_parameters"].partition(" (")[0])
    return f"- ({entry['at_hand']})" if entry["at_hand"] else "-"


def _claim_text(claim: Mapping[str, Any]) -> str:
    parts = [f"{claim['source']}: {claim['dataset']}"]
    parts += [f"{name}={value}" for name, value in claim["options"].items()]
    if claim["latency_ms"] is not None or claim["fps"] is not None:
        size = f"{claim['height']}x{claim['width']}" if claim["height"] else "size not stated"
        parts.append(f"{paper_text(claim)}, {size}")
    if claim["miou_percent"] is not None:
        parts.append(f"{claim['miou_percent']:g} % mIoU")
    return ", ".join(parts) + (f" ({claim['note']})" if claim["note"] else "")
