"""Where two files drift apart, as a table: the layers that add most to the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent


def print_drift(facts: Mapping[str, Any], console: Console, *, top: int) -> None:
    """Print the top layers that add most error, the first beyond a threshold, and the error at the output."""
    console.print(f"{facts['other']} against {facts['reference']}", soft_wrap=True)
    if facts["layers"]:
        _add_layers(facts, console, top)
        if facts["threshold"] is not None:
            console.print(_first_beyond(facts), soft_wrap=True)
    else:
        console.print("the layers of an engine are fused: only the outputs are compared")
    error = "" if facts["interface"] == "labels" else f"{facts['interface']} off by {_error(facts['output_error'])}, "
    source = " ".join(filter(None, (facts["data"], facts["split"])))
    labels = f"{percent(facts['label_difference'])} of the labels differ"
    console.print(f"output: {error}{labels} (pictures: {facts['pictures']} of {source})", soft_wrap=True)


def _add_layers(facts: Mapping[str, Any], console: Console, top: int) -> None:
    layers = {layer["tensor"]: layer for layer in facts["layers"]}
    shown = facts["ranked"][:top]
    table = Table(title=f"the {len(shown)} of {len(layers)} layers that add most")
    table.add_column("operator", overflow="fold", min_width=20)
    table.add_column("type")
    for heading in ("error in", "error out", "adds alone"):
        table.add_column(heading, justify="right")
    for tensor in shown:
        layer = layers[tensor]
        errors = (_error(layer[name]) for name in ("error_in", "error_out", "added"))
        table.add_row(layer["operator"], layer["operator_type"], *errors)
    console.print(table)


def _first_beyond(facts: Mapping[str, Any]) -> str:
    limit = _error(facts["threshold"])
    for layer in facts["layers"]:
        if layer["tensor"] == facts["first_beyond"]:
            return f"first layer off by more than {limit}: {layer['operator']}, by {_error(layer['error_out'])}"
    return f"no layer is off by more than {limit}"


def _error(value: float | None) -> str:
    """Return a relative error as a percentage with three significant digits; None stands for an infinite one."""
    return "infinite" if value is None else f"{value * 100:.3g} %"
