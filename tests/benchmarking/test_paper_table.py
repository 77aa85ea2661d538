"""A paper's table: which networks it takes, and where what was measured stands in it. Nothing is timed here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rtseg.benchmarking.paper_table import (
    TablePlan,
    TimedPlace,
    classes_of,
    plan_table,
    speed_table,
    table_document,
    table_list,
)
from rtseg.datasets.registry import class_spec
from rtseg.errors import SpecError, UnknownNameError
from rtseg.networks.registry import network_names
from rtseg.papers.tables import PaperTable, paper_table, paper_tables, read_tables
from rtseg.specs import Resolution

CONTENDERS = ({"runner": "onnxruntime", "precision": "fp32"}, {"runner": "tensorrt", "precision": "fp16"})
SPEED_TABLES = [table for table in paper_tables().values() if table.prints_speed]

SMALL = """
[paper]
short = "Somebody"
title = "A network"
authors = "Somebody"
venue = "2020"
at_hand = "full text"
networks = ["affnet"]
dataset = "streets"
classes = 11
gpu = "a GPU"

[tables.small-1]
label = "Table 1"
caption = "speed at two sizes"
heading = "Network"
columns = [
    { heading = "size", metric = "parameters", unit = "1e6" },
    { heading = "ms", metric = "latency", unit = "ms", resolution = "64x64" },
    { heading = "FPS", metric = "fps", unit = "frame/s", resolution = "64x64" },
    { heading = "FPS", metric = "fps", unit = "frame/s", assumed_resolution = "64x96" },
    { heading = "Mac", metric = "macs", unit = "G", resolution = "64x64" },
    { heading = "MB", metric = "weights", unit = "MB" },
    { heading = "mIoU", metric = "miou", unit = "%" },
]
rows = [
    { label = "other", unbuildable = "nobody knows its layers", cells = [2, 7, 135.5, 50.0, 1, 8, 60.5] },
    { label = "ours", network = "affnet", cells = [1.62, 6, 166.6, "-", 0.3, 6.2, 70.8] },
    { label = "ours again", source = "abstract", network = "affnet", cells = ["-", 6, "-", 62.5, "-", "-", "-"] },
    { label = "simple", network = "affnet", options = { fusion = "ewa" }, cells = [1.46, "-", 150, "-", "-", "-", 60] },
]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PaperTable:
    path = tmp_path_factory.mktemp("tables") / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return read_tables(path)[0]


def rows_of(plan: TablePlan) -> dict[TimedPlace, dict[str, Any]]:
    """Return a made-up row for each place of a table: the second contender runs nothing at the second size."""
    rows: dict[TimedPlace, dict[str, Any]] = {}
    for variant, sizes in plan.networks.items():
        for size in sizes:
            for contender in range(len(CONTENDERS)):
                milliseconds = float(len(rows) + 1)
                summary = {"median_ms": milliseconds, "fps": 1000 / milliseconds}
                missing = contender == 1 and size == Resolution(64, 96)
                row = {"resolution": str(size), "summary": None if missing else summary}
                rows[TimedPlace(variant, size, contender)] = row
    return rows


@pytest.fixture(scope="module")
def result(small: PaperTable) -> dict[str, Any]:
    plan = plan_table(small, classes_of(small))
    rows = rows_of(plan)
    document = table_document(plan, CONTENDERS, {place: n for n, place in enumerate(rows)}, list(rows.values()))
    return {**document, "rows": list(rows.values())}


def column(result: dict[str, Any], position: int, key: str) -> list[Any]:
    return [line["cells"][position][key] for line in result["lines"]]


def plan_of(table: PaperTable) -> TablePlan:
    stated = all(column.resolution or column.assumed_resolution for column in table.columns if column.is_timed)
    return plan_table(table, classes_of(table), None if stated else Resolution(512, 1024))


def test_rows_and_columns_keep_the_papers_order(result: dict[str, Any], small: PaperTable) -> None:
    assert [line["label"] for line in result["lines"]] == [row.label for row in small.rows]
    assert [entry["name"] for entry in result["table"]["columns"]] == [entry.name for entry in small.columns]


def test_each_cell_holds_what_the_paper_prints(result: dict[str, Any]) -> None:
    assert column(result, 0, "printed") == ["2", "1.62", None, "1.46"]
    assert column(result, 2, "paper") == [135.5, 166.6, None, 150.0]


def test_a_cell_has_a_row_for_each_contender_where_the_paper_prints_a_time(result: dict[str, Any]) -> None:
    assert column(result, 1, "rows") == [[None, None], [0, 1], [0, 1], [None, None]]
    assert column(result, 2, "rows") == [[None, None], [0, 1], [None, None], [4, 5]]
    assert column(result, 3, "rows") == [[None, None], [None, None], [2, 3], [None, None]]


def test_a_network_has_one_row_at_each_size(result: dict[str, Any]) -> None:
    assert [row["resolution"] for row in result["rows"][::2]] == ["64x64", "64x96", "64x64"]


def test_ms_and_fps_of_a_cell_are_those_of_its_rows(result: dict[str, Any]) -> None:
    assert column(result, 1, "here")[1] == [1.0, 2.0]
    assert column(result, 2, "here")[1] == [1000.0, 500.0]


def test_what_was_not_timed_or_not_reached_has_no_value(small: PaperTable, result: dict[str, Any]) -> None:
    assert column(result, 3, "here")[2] == [1000 / 3, None]
    plan = plan_table(small, classes_of(small))
    (first, row), *_ = rows_of(plan).items()
    begun = table_document(plan, CONTENDERS, {first: 0}, [row])
    assert column(begun, 1, "here") == [[None, None], [1.0, None], [1.0, None], [None, None]]


def test_parameters_multiply_accumulates_and_size_are_counted(result: dict[str, Any]) -> None:
    parameters, macs, size = (column(result, position, "counted")[1] for position in (0, 4, 5))
    assert parameters == pytest.approx(1.61, abs=0.01)
    assert size == pytest.approx(parameters * 1e6 * 4 / 2**20)
    assert 0 < macs < 1


def test_a_variant_is_counted_with_its_options(result: dict[str, Any]) -> None:
    assert column(result, 0, "counted")[3] == pytest.approx(1.46, abs=0.02)


def test_a_line_has_the_accuracy_that_its_paper_states_with_the_dataset() -> None:
    table = paper_table("affnet-6")
    document = table_document(plan_of(table), CONTENDERS, {}, [])
    stated = {line["network"]: line["miou"] for line in document["lines"]}
    assert stated["affnet"] == {"percent": 70.8, "dataset": "cityscapes"}


def test_a_row_that_cannot_be_built_keeps_its_reason(result: dict[str, Any]) -> None:
    assert result["lines"][0]["unbuildable"] == "nobody knows its layers"


def test_a_column_says_whether_the_paper_states_its_size(result: dict[str, Any]) -> None:
    columns = {entry["name"]: entry for entry in result["table"]["columns"]}
    assert columns["64x64 FPS"]["resolution_from"] == "paper"
    assert (columns["FPS"]["resolution"], columns["FPS"]["resolution_from"]) == ("64x96", "assumed")


def test_the_result_goes_to_json(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_size_that_is_asked_for_is_taken_where_the_paper_states_none(small: PaperTable) -> None:
    plan = plan_table(small, classes_of(small), Resolution(96, 96))
    assert (plan.sizes["64x64 FPS"], plan.sizes["FPS"]) == (Resolution(64, 64), Resolution(96, 96))


def test_a_size_is_refused_where_the_paper_states_all() -> None:
    with pytest.raises(SpecError, match="states its own sizes"):
        plan_table(paper_table("affnet-6"), class_spec("cityscapes"), Resolution(64, 64))


def test_a_size_is_asked_for_where_neither_paper_nor_facts_have_one() -> None:
    with pytest.raises(SpecError, match=r"no size for fps of table haff-abstract.*--resolution"):
        plan_table(paper_table("haff-abstract"), class_spec("cityscapes"))


def test_a_size_that_a_network_does_not_take_is_refused_before_anything_is_timed(small: PaperTable) -> None:
    with pytest.raises(SpecError, match="affnet needs sides that are multiples of 8"):
        plan_table(small, classes_of(small), Resolution(60, 60))


def test_a_network_that_is_not_registered_is_refused_before_anything_is_timed(small: PaperTable) -> None:
    rows = tuple(replace(row, network="afnet") if row.network else row for row in small.rows)
    with pytest.raises(UnknownNameError, match="Try: use 'affnet'"):
        plan_table(replace(small, rows=rows), classes_of(small))


def test_a_table_without_speeds_is_refused_naming_those_that_have_some() -> None:
    with pytest.raises(SpecError, match=r"affnet-4 prints neither ms nor FPS; expected one of .*affnet-6"):
        speed_table("affnet-4")


@pytest.mark.parametrize("table", SPEED_TABLES, ids=lambda table: table.id)
def test_every_table_with_speeds_can_be_planned(table: PaperTable) -> None:
    plan = plan_of(table)
    assert plan.networks
    assert {name for name, _ in plan.networks} <= set(network_names())
    assert len(plan.classes) == table.classes


def test_the_plan_of_table_vi_is_three_networks_at_three_sizes() -> None:
    plan = plan_of(paper_table("affnet-6"))
    sizes = [Resolution(512, 512), Resolution(512, 1024), Resolution(1024, 2048)]
    assert {name: list(found) for (name, _), found in plan.networks.items()} == {
        "erfnet": sizes,
        "spssnet": sizes,
        "affnet": sizes,
    }


def test_the_list_of_tables_tells_which_can_be_run() -> None:
    listed = {entry["id"]: entry for entry in table_list()}
    assert list(listed) == list(paper_tables())
    assert listed["affnet-6"]["resolutions"] == ["512x512", "512x1024", "1024x2048"]
    assert [listed[name]["speed"] for name in ("affnet-4", "haff-abstract", "mlff-1")] == [False, True, False]
