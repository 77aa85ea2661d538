"""A paper's table of speeds, run here: its networks at its sizes, in its own order of rows and columns.

Everything is settled before the first second is spent: a table without speeds, a network that is not
registered and a size that does not fit are refused at once. A network is timed once at each size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rtseg.benchmarking.rows import BenchmarkRow
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.benchmarking.session import BenchmarkSession
from rtseg.datasets.registry import class_spec, dataset_names
from rtseg.errors import SpecError
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_spec
from rtseg.observer import SILENT, Observer
from rtseg.papers.tables import PaperTable, Row, paper_table, paper_tables
from rtseg.runners.registry import DEFAULT_RUNNERS
from rtseg.specs import ClassSpec, Resolution

BYTES_OF_A_PARAMETER = 4

Variant = tuple[str, tuple[tuple[str, str], ...]]
"""A network's name and its options."""

Timings = Mapping[tuple[Variant, Resolution], tuple[int, BenchmarkRow]]
"""The row of each timed network at a size, and its position among the rows."""


def table_list() -> list[dict[str, Any]]:
    """Return id, caption, origin and sizes of every table as plain values, speed telling whether it can be run."""
    return [
        {
            **_origin(table),
            "speed": table.prints_speed,
            "resolutions": list(dict.fromkeys(str(c.resolution) for c in table.columns if c.is_timed and c.resolution)),
        }
        for table in paper_tables().values()
    ]


def speed_table(table_id: str) -> PaperTable:
    """Return that table. Raises UnknownNameError, and SpecError for one that prints no speed."""
    table = paper_table(table_id)
    if not table.prints_speed:
        timed = ", ".join(other.id for other in paper_tables().values() if other.prints_speed)
        raise SpecError(f"table {table_id} prints neither ms nor FPS", expected=f"one of {timed}")
    return table


def classes_of(table: PaperTable) -> ClassSpec:
    """Return the classes of the table's dataset, nameless ones where rtseg does not know the dataset."""
    return class_spec(table.dataset if table.dataset in dataset_names() else str(table.classes))


@dataclass(frozen=True)
class TablePlan:
    """What running a table takes: the size of each column, by its name, and the sizes of each network, in order."""

    table: PaperTable
    classes: ClassSpec
    sizes: Mapping[str, Resolution | None]
    networks: Mapping[Variant, Sequence[Resolution]]
    asked: Resolution | None = None


def plan_table(table: PaperTable, classes: ClassSpec, resolution: Resolution | None = None) -> TablePlan:
    """Return what is to be timed. resolution is for the columns whose size neither the paper nor its code states.

    Raises SpecError where such a size is missing or given needlessly and where a network does not take
    a size, and UnknownNameError for a network that is not registered.
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


def benchmark_table(
    plan: TablePlan,
    rule: SamplingRule,
    *,
    runner: str = DEFAULT_RUNNERS["onnx"],
    threads: int = 0,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Time a planned table at the boundary `network`, with random weights, and return everything as plain values.

    To the result of a BenchmarkSession come "table", its origin and columns, and "lines", its rows: each
    cell holds what the paper prints, what is counted or timed here, None where that is nothing, and the
    position of the timed row in "rows".
    """
    session = BenchmarkSession(rule, runners=[runner], threads=threads, observer=observer)
    timings: dict[tuple[Variant, Resolution], tuple[int, BenchmarkRow]] = {}
    for (name, options), sizes in plan.networks.items():
        network = network_with_random_weights(name, plan.classes, options=dict(options))
        for size in sizes:
            session.add_network(network, size, interfaces=["scores"])
            (row,) = session.measure()
            timings[(name, options), size] = (len(timings), row)
    return {
        "table": {**_origin(plan.table), "note": plan.table.note, "columns": _columns(plan)},
        "classes": len(plan.classes),
        "lines": [_line(plan, row, timings) for row in plan.table.rows],
        **session.result(),
    }


def _sizes(table: PaperTable, asked: Resolution | None) -> dict[str, Resolution | None]:
    unstated = [column for column in table.columns if column.is_timed and column.resolution is None]
    if asked is not None and not unstated:
        raise SpecError(f"table {table.id} states its own sizes", got=str(asked), hint="without --resolution")
    missing = [column.name for column in unstated if column.assumed_resolution is None]
    if missing and asked is None:
        raise SpecError(
            f"the paper states no size for {', '.join(missing)} of table {table.id}", hint="--resolution 512x1024"
        )
    return {
        column.name: (asked or column.assumed_resolution) if column in unstated else column.resolution
        for column in table.columns
    }


def _variant(row: Row) -> Variant:
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


def _line(plan: TablePlan, row: Row, timings: Timings) -> dict[str, Any]:
    variant = None if row.network is None else _variant(row)
    counted = _counted(plan, variant) if variant is not None else {}
    cells = []
    for column, cell in zip(plan.table.columns, row.cells):
        here, position = counted.get(column.name), None
        size = plan.sizes[column.name]
        if variant is not None and size is not None and column.is_timed and cell.printed is not None:
            position, timed = timings[variant, size]
            summary = timed.samples.summary
            here = summary.median_ms if column.metric == "latency" else summary.fps
        cells.append({"printed": cell.printed, "paper": cell.value, "here": here, "row": position, "note": cell.note})
    fields = ("label", "source", "network", "unbuildable", "note")
    return {**{name: getattr(row, name) for name in fields}, "options": dict(row.options), "cells": cells}


def _counted(plan: TablePlan, variant: Variant) -> dict[str, float]:
    """Return what needs no clock, by column: parameters, multiply-accumulates and size, in the column's unit."""
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
