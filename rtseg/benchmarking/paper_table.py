"""A paper's table of speeds: which networks are timed at which sizes, and the paper's values beside ours.

All checks come before the first measurement: a table without speeds, a network that is not registered or a size that
does not fit is refused at once. A network is timed once at each size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rtseg.benchmarking.session import Row
from rtseg.datasets.registry import class_spec, dataset_names
from rtseg.errors import SpecError
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.registry import network_spec
from rtseg.papers.claims import claims_of
from rtseg.papers.tables import PaperTable, paper_table, paper_tables
from rtseg.papers.tables import Row as PaperRow
from rtseg.specs import ClassSpec, Resolution

BYTES_OF_A_PARAMETER = 4

Variant = tuple[str, tuple[tuple[str, str], ...]]
"""A network's name and its options."""


def table_list() -> list[dict[str, Any]]:
    """Return id, caption, origin and sizes of every table as plain values; "speed" is whether it can be run."""
    return [
        {
            **_origin(table),
            "speed": table.prints_speed,
            "resolutions": list(dict.fromkeys(str(c.resolution) for c in table.columns if c.is_timed and c.resolution)),
        }
        for table in paper_tables().values()
    ]


def speed_table(table_id: str) -> PaperTable:
    """Return that table. Raises UnknownNameError, and SpecError for a table that prints no speed."""
    table = paper_table(table_id)
    if not table.prints_speed:
        timed = ", ".join(other.id for other in paper_tables().values() if other.prints_speed)
        raise SpecError(f"table {table_id} prints neither ms nor FPS", expected=f"one of {timed}")
    return table


def classes_of(table: PaperTable) -> ClassSpec:
    """Return the classes of the table's dataset, unnamed ones if rtseg does not know the dataset."""
    return class_spec(table.dataset if table.dataset in dataset_names() else str(table.classes))


@dataclass(frozen=True)
class TablePlan:
    """What to time for a table: the size of each column by its name, and the sizes of each network, in order."""

    table: PaperTable
    classes: ClassSpec
    sizes: Mapping[str, Resolution | None]
    networks: Mapping[Variant, Sequence[Resolution]]
    asked: Resolution | None = None


def plan_table(table: PaperTable, classes: ClassSpec, resolution: Resolution | None = None) -> TablePlan:
    """Return what to time. resolution is for the columns whose size neither the paper nor its code states.

    Raises SpecError if such a size is missing, if resolution is given but not needed, and if a network does not take a
    size; raises UnknownNameError for a network that is not registered.
    """
    sizes = _sizes(table, resolution)
    networks: dict[Variant, list[Resolution]] = {}
    for row in table.rows:
        if row.network is None:
            continue
        spec = network_spec(row.network)
        multiple = meta_network(spec, len(classes), row.options).multiple
        for column, cell in zip(table.columns, row.cells):
            size = sizes[column.name]
            if size is None or cell.printed is None:
                continue
            size.require_multiple_of(multiple, spec.name)
            if column.is_timed and size not in networks.setdefault(_variant(row), []):
                networks[_variant(row)].append(size)
    return TablePlan(table, classes, sizes, networks, resolution)


@dataclass(frozen=True)
class TimedPlace:
    """The place of a timed row in a table: the network, the size, and the number of the contender, from 0."""

    variant: Variant
    size: Resolution
    contender: int


def table_document(
    plan: TablePlan, contenders: Sequence[Mapping[str, str]], places: Mapping[TimedPlace, int], rows: Sequence[Row]
) -> dict[str, Any]:
    """Return the table as plain values: "table", its origin and columns, "contenders", and "lines", its rows.

    rows are those of a BenchmarkSession at the boundary `network`, places the position of each; a place that is missing
    was not reached. Each cell holds the paper's value, the count from our network, and for each contender its value and
    the position of its row (None without one). "miou" is the paper's accuracy for the line's network.
    """
    return {
        "table": {**_origin(plan.table), "note": plan.table.note, "columns": _columns(plan)},
        "classes": len(plan.classes),
        "contenders": [dict(contender) for contender in contenders],
        "lines": [_line(plan, row, len(contenders), places, rows) for row in plan.table.rows],
    }


def _sizes(table: PaperTable, asked: Resolution | None) -> dict[str, Resolution | None]:
    unstated = [column for column in table.columns if column.is_timed and column.resolution is None]
    if asked is not None and not unstated:
        raise SpecError(f"table {table.id} states its own sizes", got=str(asked), hint="leave out --resolution")
    missing = [column.name for column in unstated if column.assumed_resolution is None]
    if missing and asked is None:
        raise SpecError(
            f"the paper states no size for {', '.join(missing)} of table {table.id}", hint="pass --resolution 512x1024"
        )
    return {
        column.name: (asked or column.assumed_resolution) if column in unstated else column.resolution
        for column in table.columns
    }


def _variant(row: PaperRow) -> Variant:
    spec = network_spec(str(row.network))
    return spec.name, tuple(sorted(spec.complete_options(row.options).items()))


def _origin(table: PaperTable) -> dict[str, Any]:
    fields = ("id", "label", "caption", "heading", "gpu", "framework", "dataset", "split")
    return {"paper": asdict(table.paper), **{name: getattr(table, name) for name in fields}}


def _columns(plan: TablePlan) -> list[dict[str, Any]]:
    columns = []
    for column in plan.table.columns:
        size = plan.sizes[column.name]
        unstated = column.is_timed and column.resolution is None
        fields = ("name", "heading", "metric", "unit", "of", "note")
        columns.append(
            {
                **{name: getattr(column, name) for name in fields},
                "resolution": None if size is None else str(size),
                "resolution_from": ("asked for" if plan.asked else "assumed") if unstated else "paper",
            }
        )
    return columns


def _line(
    plan: TablePlan, row: PaperRow, contenders: int, places: Mapping[TimedPlace, int], rows: Sequence[Row]
) -> dict[str, Any]:
    variant = None if row.network is None else _variant(row)
    counted = _counted(plan, variant) if variant is not None else {}
    cells = []
    for column, cell in zip(plan.table.columns, row.cells):
        positions: list[int | None] = [None] * contenders
        size = plan.sizes[column.name]
        if variant is not None and size is not None and column.is_timed and cell.printed is not None:
            positions = [places.get(TimedPlace(variant, size, number)) for number in range(contenders)]
        cells.append(
            {
                "printed": cell.printed,
                "paper": cell.value,
                "counted": counted.get(column.name),
                "here": [_timed(column.metric, position, rows) for position in positions],
                "rows": positions,
                "note": cell.note,
            }
        )
    fields = ("label", "source", "network", "unbuildable", "note")
    return {
        **{name: getattr(row, name) for name in fields},
        "options": dict(row.options),
        "miou": _accuracy(plan.table, row),
        "cells": cells,
    }


def _timed(metric: str, position: int | None, rows: Sequence[Row]) -> float | None:
    summary = None if position is None else rows[position]["summary"]
    return None if summary is None else summary["median_ms" if metric == "latency" else "fps"]


def _accuracy(table: PaperTable, row: PaperRow) -> dict[str, Any] | None:
    """Return the accuracy that the table's paper states for the network of a row, and on which dataset; else None."""
    if row.network is None:
        return None
    spec = network_spec(row.network)
    for claim in claims_of(spec.name):
        same = spec.complete_options(claim.options) == spec.complete_options(row.options)
        if claim.miou_percent is not None and same and claim.source.startswith(f"{table.paper.short}, "):
            return {"percent": claim.miou_percent, "dataset": claim.dataset}
    return None


def _counted(plan: TablePlan, variant: Variant) -> dict[str, float]:
    """Return the values that need no clock, by column: parameters, multiply-accumulates, size, in the column's unit."""
    name, options = variant
    network = meta_network(network_spec(name), len(plan.classes), dict(options))
    parameters = count_parameters(network).deployed
    values = {}
    for column in plan.table.columns:
        size = plan.sizes[column.name]
        if column.metric == "parameters":
            values[column.name] = parameters / 1e6
        elif column.metric == "weights":
            values[column.name] = parameters * BYTES_OF_A_PARAMETER / 2**20
        elif column.metric == "macs" and size is not None:
            values[column.name] = count_macs(network, size, name) / 1e9
    return values
