"""The papers' tables: TOML files beside this module, one for each paper, read strictly.

A table keeps the paper's own order of rows and columns and its values as printed ("1.70"); a value that the paper does
not print is "-". Doubts and contradictions are notes on the cell, the row, the column or the table. Each row of
networks names the registered network that it describes, or says why there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from rtseg.artifacts.files import PathLike, read_utf8
from rtseg.errors import SpecError, UnknownNameError
from rtseg.specs import Resolution

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

FILES = ("affnet", "s2fpn", "mlff", "haff")

METRICS = {
    "latency": "time of one image",
    "fps": "images in a second",
    "parameters": "parameters",
    "macs": "multiply-accumulates of one image",
    "weights": "size of the weights",
    "miou": "mean IoU, of one group of classes where the column names one",
    "iou": "IoU of one class",
    "pa": "pixel accuracy",
    "layer": "a property of a layer",
    "environment": "what an experiment ran on",
}

TIMED = ("latency", "fps")
"""The metrics that are measured with a clock."""

ROWS_OF = ("networks", "layers", "environment")

_PAPER_FIELDS = {"short": str, "title": str, "authors": str, "venue": str, "at_hand": str, "networks": list}
_INHERITED_FIELDS = {"dataset": str, "classes": int, "split": str, "gpu": str, "framework": str}
_TABLE_FIELDS = {"label": str, "caption": str, "heading": str, "columns": list, "rows": list}
_COLUMN_FIELDS = {"heading": str, "metric": str, "unit": str}
_ROW_FIELDS = {"label": str, "cells": list}


@dataclass(frozen=True)
class Paper:
    """A paper: short is its name in citations, networks are those that it presents.

    at_hand says from which parts of the paper the values were copied, such as "full text without figures".
    """

    short: str
    title: str
    authors: str
    venue: str
    at_hand: str
    networks: Sequence[str]


@dataclass(frozen=True)
class Column:
    """What a column holds. name is its heading, after the resolution if a heading occurs more than once.

    of is the class or group of an accuracy. resolution is what the paper or its code states. assumed_resolution is used
    if they state none; note then says why it was chosen.
    """

    name: str
    heading: str
    metric: str
    unit: str
    of: str = ""
    resolution: Resolution | None = None
    assumed_resolution: Resolution | None = None
    note: str = ""

    @property
    def is_timed(self) -> bool:
        """Whether the column's values are measured with a clock."""
        return self.metric in TIMED


@dataclass(frozen=True)
class Cell:
    """A value as printed and as a number; both None if the paper prints none, value None for text."""

    printed: str | None
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table. network and options name what reproduces it; unbuildable says why nothing does."""

    label: str
    cells: tuple[Cell, ...]
    source: str
    network: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    unbuildable: str = ""
    note: str = ""


@dataclass(frozen=True)
class PaperTable:
    """A printed table. gpu, framework and split are "" where the paper does not state them."""

    id: str
    paper: Paper
    label: str
    caption: str
    heading: str
    rows_of: str
    dataset: str
    classes: int
    split: str
    gpu: str
    framework: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def prints_speed(self) -> bool:
        """Whether some row of a network has a value measured with a clock."""
        return any(
            column.is_timed and cell.printed is not None
            for row in self.rows
            for column, cell in zip(self.columns, row.cells)
        )


@cache
def paper_tables() -> Mapping[str, PaperTable]:
    """Return all tables by their ids, in the order of the papers."""
    tables = [table for name in FILES for table in read_tables(Path(__file__).with_name(f"{name}.toml"))]
    return {table.id: table for table in tables}


def paper_table(table_id: str) -> PaperTable:
    """Return one table. Raises UnknownNameError, naming the closest one."""
    if table_id not in paper_tables():
        raise UnknownNameError("table", table_id, paper_tables())
    return paper_tables()[table_id]


def read_tables(path: PathLike) -> list[PaperTable]:
    """Return the tables of a TOML file in its order. Raises SpecError, naming the table that is wrong."""
    try:
        data = tomllib.loads(read_utf8(path), parse_float=Decimal)
    except OSError as error:
        raise SpecError(f"cannot read the tables {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not TOML: {error}") from error
    _require(data, Path(path).name, {"paper": dict, "tables": dict})
    _require(data["paper"], f"the paper of {Path(path).name}", _PAPER_FIELDS, _INHERITED_FIELDS)
    paper = Paper(**{name: data["paper"][name] for name in _PAPER_FIELDS})
    inherited = {name: value for name, value in data["paper"].items() if name in _INHERITED_FIELDS}
    return [_table(table_id, paper, inherited, table) for table_id, table in data["tables"].items()]


def _table(table_id: str, paper: Paper, inherited: Mapping[str, Any], data: Any) -> PaperTable:
    where = f"table {table_id}"
    optional = {**_INHERITED_FIELDS, "rows_of": str, "note": str, "notes": dict}
    _require(data, where, _TABLE_FIELDS, optional)
    common = {
        "split": "",
        "gpu": "",
        "framework": "",
        **inherited,
        **{k: data[k] for k in _INHERITED_FIELDS if k in data},
    }
    _require(common, where, _INHERITED_FIELDS)
    rows_of = data.get("rows_of", "networks")
    if rows_of not in ROWS_OF:
        raise UnknownNameError(f"kind of rows in {where}", rows_of, ROWS_OF)
    columns = _columns(data["columns"], data.get("notes", {}), where)
    return PaperTable(
        id=table_id,
        paper=paper,
        label=data["label"],
        caption=data["caption"],
        heading=data["heading"],
        rows_of=rows_of,
        note=data.get("note", ""),
        columns=columns,
        rows=tuple(_row(row, columns, data["label"], rows_of, where) for row in data["rows"]),
        **common,
    )


def _columns(entries: Sequence[Any], notes: Mapping[str, Any], where: str) -> tuple[Column, ...]:
    for entry in entries:
        _require(
            entry, f"a column of {where}", _COLUMN_FIELDS, {"of": str, "resolution": str, "assumed_resolution": str}
        )
        if entry["metric"] not in METRICS:
            raise UnknownNameError(f"metric in {where}", entry["metric"], METRICS)
    headings = [entry["heading"] for entry in entries]
    names = [
        heading if headings.count(heading) == 1 else f"{entry.get('resolution', '')} {heading}".strip()
        for heading, entry in zip(headings, entries)
    ]
    if len(set(names)) < len(names):
        raise SpecError(f"two columns of {where} have one name", got=", ".join(names))
    _require(notes, f"the notes of {where}", {}, dict.fromkeys(names, str))
    sizes = ("resolution", "assumed_resolution")
    return tuple(
        Column(
            **{
                **entry,
                **{size: Resolution.parse(entry[size]) for size in sizes if size in entry},
                "name": name,
                "note": notes.get(name, ""),
            }
        )
        for name, entry in zip(names, entries)
    )


def _row(data: Any, columns: Sequence[Column], source: str, rows_of: str, where: str) -> Row:
    optional = {"network": str, "options": dict, "unbuildable": str, "source": str, "note": str, "notes": dict}
    _require(data, f"a row of {where}", _ROW_FIELDS, optional)
    where = f"row {data['label']!r} of {where}"
    if len(data["cells"]) != len(columns):
        raise SpecError(f"{where} does not fit the columns", got=len(data["cells"]), expected=f"{len(columns)} cells")
    if (("network" in data) + ("unbuildable" in data)) != (rows_of == "networks"):
        raise SpecError(f"{where} names no network", expected="either network or unbuildable, in a table of networks")
    if ("options" in data and "network" not in data) or data.get("unbuildable") == "":
        raise SpecError(f"{where} has options without a network, or an empty reason")
    notes = data.get("notes", {})
    _require(notes, f"the notes of {where}", {}, dict.fromkeys((column.name for column in columns), str))
    _require(data.get("options", {}), f"the options of {where}", {}, dict.fromkeys(data.get("options", {}), str))
    return Row(
        label=data["label"],
        cells=tuple(_cell(value, notes.get(column.name, ""), where) for column, value in zip(columns, data["cells"])),
        source=data.get("source", source),
        network=data.get("network"),
        options=data.get("options", {}),
        unbuildable=data.get("unbuildable", ""),
        note=data.get("note", ""),
    )


def _cell(value: Any, note: str, where: str) -> Cell:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise SpecError(f"{where} has a cell that is neither number nor text", got=repr(value))
    if isinstance(value, str):
        return Cell(None if value == "-" else value, None, note)
    if value < 0:
        raise SpecError(f"{where} has a negative value", got=value)
    return Cell(str(value), float(value), note)


def _require(data: Any, where: str, required: Mapping[str, type], optional: Mapping[str, type] | None = None) -> None:
    """Raise SpecError unless data is a TOML table with exactly those fields, of those types."""
    if not isinstance(data, Mapping):
        raise SpecError(f"{where} is not a TOML table", got=repr(data))
    known = {**required, **(optional or {})}
    if unknown := _listed(set(data) - set(known)):
        raise SpecError(f"{where} has unknown fields", got=unknown, expected=_listed(known))
    if missing := _listed(set(required) - set(data)):
        raise SpecError(f"{where} lacks fields", expected=missing)
    for name, value in data.items():
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise SpecError(f"{where}: {name} has the wrong type", got=repr(value), expected=known[name].__name__)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
