"""An audit as tables: precisions, kernels, the data that they move, conversions, lower bounds, changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rtseg.cli.show.accuracy_text import percent
from rtseg.cli.show.bound_text import add_bounds
from rtseg.engines.proof_words import account_text, megabytes

SHOWN = 12
"""Rows of a list that are printed. The rest is counted, and the JSON has all."""

LONGEST_NAME, FIRST_LETTERS = 70, 24
_CHANGE_WORDS = {
    "precision": "changed precision",
    "appeared": "new",
    "disappeared": "gone",
    "regrouped": "fused differently",
}


def print_audit(facts: Mapping[str, Any], console: Console) -> None:
    """Print which precisions an engine computes in, what it converts, and whether a request holds (Audit.to_json)."""
    engine = facts["engine"]
    timed = engine["total_ms"] is not None
    console.print(f"{facts['file']}: {_ends(engine)}", soft_wrap=True)
    table = Table()
    table.add_column("precision")
    for heading in ("layers", "share", *(("ms", "share of time") if timed else ())):
        table.add_column(heading, justify="right")
    for row in engine["precisions"]:
        time = [f"{row['ms']:.3f}", percent(row["time_share"])] if timed else []
        table.add_row(row["precision"], str(row["layers"]), percent(row["layer_share"]), *time)
    console.print(table)
    rtx = engine["schema"] == "rtx"  # its kernels convert while they compute: no reformats, no Q/DQ that stand alone
    for line in _lines(engine):
        console.print(line, soft_wrap=True)
    _add_account(console, engine["account"])
    if not rtx:
        _add_conversions(console, "reformats", engine["reformats"]["layers"])
        _add_conversions(console, "Q/DQ that stand alone", engine["unfused"]["layers"])
    if engine["between_int8"] and not rtx:
        names = _listed([row["layer"] for row in engine["between_int8"]])
        console.print(f"layers in floating point between INT8 layers: {names}")
    add_bounds(console, facts["lower_bounds"])
    if facts["against"] is not None:
        _add_accounts(console, engine["account"], facts["against"])
        _add_changes(console, facts["against"])
    console.print(_verdict(facts["verdict"]), soft_wrap=True)


def _ends(engine: Mapping[str, Any]) -> str:
    sides = [", ".join(_end(tensor) for tensor in engine[side]) or "not listed" for side in ("inputs", "outputs")]
    return " → ".join(sides)


def _end(tensor: Mapping[str, Any]) -> str:
    shape = "x".join(map(str, tensor["shape"]))
    return " ".join(filter(None, (tensor["name"], shape, tensor["data_type"], tensor["layout"])))


def _lines(engine: Mapping[str, Any]) -> list[str]:
    weighted = ", ".join(f"{number} {precision}" for precision, number in engine["weighted"].items())
    if engine["schema"] == "rtx":
        return [f"kernels with convolutions and matrix products: {weighted or 'none'}"]
    lines = [f"convolutions and matrix products: {weighted or 'none'}"]
    for key, name in (("reformats", "reformats"), ("unfused", "Q/DQ that stand alone")):
        part = engine[key]
        if not part["layers"]:
            lines.append(f"{name}: none")
            continue
        share = "" if part["time_share"] is None else f", {percent(part['time_share'])} of the time"
        inside = sum(row["place"] == "inside" for row in part["layers"])
        lines.append(f"{name}: {len(part['layers'])}, {inside} of them inside the engine{share}")
    if engine["skipped_layers"]:
        lines.append(f"layers that compute nothing, not counted above: {engine['skipped_layers']}")
    return lines


def _add_account(console: Console, account: Mapping[str, Any]) -> None:
    """Print how many kernels there are, how much data they move, and those that move the most."""
    constants = account["constant_bytes"]
    part = "" if constants is None else f", {megabytes(constants)} of it constants"
    console.print(account_text(account) + part, soft_wrap=True)
    if account["unsized_tensors"]:
        console.print(f"tensors of unknown size, not counted: {account['unsized_tensors']}")
    table = Table(title=f"the {len(account['largest'])} kernels that move the most")
    table.add_column("ONNX operators", overflow="fold", min_width=24)
    table.add_column("kind")
    table.add_column("precision")
    for heading in ("MB", "read", "constants", "written"):
        table.add_column(heading, justify="right")
    for row in account["largest"]:
        sizes = (row["bytes"], row["read_bytes"], row["constant_bytes"], row["written_bytes"])
        table.add_row(_made_of(row), row["kind"], row["precision"], *map(_mb, sizes))
    console.print(table)


def _made_of(kernel: Mapping[str, Any]) -> str:
    operators = kernel["operators"]
    if not operators:
        return _cut(kernel["name"])
    more = f" and {len(operators) - 1} more" if len(operators) > 1 else ""
    return f"{_cut(operators[0])}{more}"


def _mb(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.2f}"


def _add_accounts(console: Console, account: Mapping[str, Any], against: Mapping[str, Any]) -> None:
    """Print the kernels and the moved data of two engines side by side."""
    reference = against["engine"]["account"]
    table = Table(title=f"against {against['file']}")
    table.add_column("")
    for heading in ("kernels", "that only move data", "MB", "constants"):
        table.add_column(heading, justify="right")
    for name, row in (("this", account), ("the other", reference)):
        table.add_row(name, str(row["kernels"]), str(row["moving"]), _mb(row["bytes"]), _mb(row["constant_bytes"]))
    console.print(table)
    for precision in dict.fromkeys([*account["by_precision"], *reference["by_precision"]]):
        sides = [row["by_precision"].get(precision, {"kernels": 0, "bytes": 0}) for row in (account, reference)]
        this, other = (f"{side['kernels']} kernels, {megabytes(side['bytes'])}" for side in sides)
        console.print(f"{precision}: {this} in this, {other} in the other")


def _add_conversions(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title=title)
    for heading in ("tensor", "from", "to", "where"):
        table.add_column(heading, overflow="fold")
    table.add_column("ms", justify="right")
    for row in rows[:SHOWN]:
        table.add_row(_cut(row["tensor"]), row["before"], row["after"], row["place"], _ms(row["ms"]))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"and {len(rows) - SHOWN} more")


def _add_changes(console: Console, against: Mapping[str, Any]) -> None:
    changes = against["changes"]
    if changes:
        counts = Counter(_CHANGE_WORDS[change["kind"]] for change in changes)
        words = ", ".join(f"{number} {word}" for word, number in counts.items())
        console.print(f"against {against['file']}: {words}", soft_wrap=True)
        table = Table()
        for heading in ("layer", "change", "before", "after"):
            table.add_column(heading, overflow="fold")
        for change in changes[:SHOWN]:
            before, after = change["before"], change["after"]
            name = (after or before)["layers"][0]
            table.add_row(_cut(name), _CHANGE_WORDS[change["kind"]], _state(before), _state(after))
        console.print(table)
        if len(changes) > SHOWN:
            console.print(f"and {len(changes) - SHOWN} more")
    else:
        console.print(f"against {against['file']}: no change", soft_wrap=True)
    for precision, times in against["times"].items():
        if times["before"] is not None or times["after"] is not None:
            console.print(f"{precision}: {_ms(times['before'])} ms before, {_ms(times['after'])} ms after")


def _state(state: Mapping[str, Any] | None) -> str:
    if state is None:
        return "-"
    layers = "" if len(state["layers"]) == 1 else f" in {len(state['layers'])} layers"
    time = "" if state["ms"] is None else f", {state['ms']:.3f} ms"
    return f"{' and '.join(state['precisions'])}{layers}{time}"


def _verdict(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "no precision was requested: to check one, add --expect fp32, fp16 or int8"
    state = "not proven" if verdict["undecided"] else "built" if verdict["passed"] else "NOT built"
    each = f", for each of {', '.join(verdict['alone'])}" if verdict["alone"] and verdict["passed"] else ""
    return "; ".join([f"{verdict['request']} requested: {state}{each}", *verdict["notices"]])


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(map(_cut, names[:SHOWN]))
    return f"{text} and {len(names) - SHOWN} more" if len(names) > SHOWN else text


def _cut(name: str) -> str:
    """Return a long name without its middle: a layer's name begins with its weights and ends with its operators."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:FIRST_LETTERS]}…{name[FIRST_LETTERS + 1 - LONGEST_NAME :]}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
