"""The papers' tables: they load, they name networks that exist, and what they contradict is marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.errors import SpecError, UnknownNameError
from rtseg.networks.registry import network_names, network_spec
from rtseg.papers.tables import FILES, Cell, PaperTable, Row, paper_table, paper_tables, read_tables
from tests.toml_files import read_toml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "rtseg" / "papers"
GROUPS = {"gamma 0": slice(0, 10), "gamma 1": slice(10, 16), "gamma 2": slice(16, 19)}
"""The columns of AFFNet's Table VIII that are one group of Table VII."""

SMALL = """
[paper]
short = "Somebody"
title = "A network"
authors = "Somebody"
venue = "2020"
at_hand = "abstract only"
networks = ["affnet"]
dataset = "streets"
classes = 11

[tables.small-1]
label = "Table 1"
caption = "speed"
heading = "Network"
columns = [
    { heading = "ms", metric = "latency", unit = "ms", resolution = "64x64" },
    { heading = "mIoU", metric = "miou", unit = "%" },
]
rows = [{ label = "AFFNet", network = "affnet", cells = [1.50, "-"], notes = { ms = "doubtful" } }]
"""


def row_of(table_id: str, label: str) -> Row:
    return next(row for row in paper_table(table_id).rows if row.label == label)


def values(row: Row) -> list[float]:
    return [cell.value for cell in row.cells if cell.value is not None]


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def cell_of(table_id: str, label: str, column: str) -> Cell:
    names = [column.name for column in paper_table(table_id).columns]
    return row_of(table_id, label).cells[names.index(column)]


def tables_of(text: str, folder: Path) -> list[PaperTable]:
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return read_tables(path)


def test_every_file_of_tables_is_read() -> None:
    assert sorted(FILES) == sorted(path.stem for path in FOLDER.glob("*.toml"))


def test_the_wheel_carries_the_tables() -> None:
    settings = read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]
    assert "papers/*.toml" in settings["package-data"]["rtseg"]


def test_every_table_of_the_papers_with_full_text_is_there() -> None:
    numbered = [f"affnet-{number}" for number in range(1, 9)] + [f"mlff-{number}" for number in range(1, 6)]
    assert set(numbered) <= set(paper_tables())


@pytest.mark.parametrize("name", FILES)
def test_the_tables_of_a_file_begin_with_its_name(name: str) -> None:
    assert all(table.id.startswith(f"{name}-") for table in read_tables(FOLDER / f"{name}.toml"))


@pytest.mark.parametrize("table", paper_tables().values(), ids=lambda table: table.id)
def test_a_row_names_a_registered_network_with_its_options_or_says_why_not(table: PaperTable) -> None:
    for row in table.rows:
        if row.network is not None:
            network_spec(row.network).complete_options(row.options)
        else:
            assert row.unbuildable or table.rows_of != "networks"


def test_the_networks_of_the_papers_are_registered() -> None:
    presented = {name for table in paper_tables().values() for name in table.paper.networks}
    assert presented == {"affnet", "s2fpn18", "s2fpn34", "s2fpn34m", "mlff", "haff"}
    assert presented <= set(network_names())


def test_a_value_is_kept_as_it_is_printed() -> None:
    assert cell_of("affnet-1", "Concat", "Parameters") == Cell("1.70", 1.7)
    assert cell_of("affnet-6", "SPSSNet", "512x1024 FPS").printed == "50.0"


@pytest.mark.parametrize("label", ["DSNet", "AFFNet"])
def test_the_printed_miou_of_table_iv_is_not_the_mean_of_its_classes_and_says_so(label: str) -> None:
    *classes, printed = values(row_of("affnet-4", label))
    assert len(classes) == 19
    assert abs(mean(classes) - printed) > 0.5
    assert f"{mean(classes):.2f}" in cell_of("affnet-4", label, "mIoU").note


def test_tables_iv_and_viii_differ_in_affnets_terrain_only_and_say_so() -> None:
    by_class = [
        {
            column.of: cell
            for column, cell in zip(paper_table(table).columns, row_of(table, "AFFNet").cells)
            if column.of
        }
        for table in ("affnet-4", "affnet-8")
    ]
    assert set(by_class[0]) == set(by_class[1])
    different = [name for name in by_class[0] if by_class[0][name].value != by_class[1][name].value]
    assert different == ["terrain"]
    assert by_class[0]["terrain"].value == by_class[0]["pole"].value
    assert by_class[0]["terrain"].note and by_class[1]["terrain"].note


@pytest.mark.parametrize("label", ["ERFNet", "SPSSNet", "AFFNet"])
def test_table_vii_holds_the_group_means_of_table_viii(label: str) -> None:
    classes = values(row_of("affnet-8", label))
    means = [round(mean(classes[group]), 1) for group in GROUPS.values()]
    assert [column.of for column in paper_table("affnet-7").columns] == list(GROUPS)
    assert means == values(row_of("affnet-7", label))


def test_erfnets_miou_of_table_v_is_not_the_mean_of_table_viii_and_says_so() -> None:
    cell = cell_of("affnet-5", "ERFNet", "mIoU")
    found = mean(values(row_of("affnet-8", "ERFNet")))
    assert cell.value is not None and abs(found - cell.value) > 1
    assert f"{found:.1f}" in cell.note


def test_the_one_fps_of_table_vi_that_does_not_fit_its_ms_says_so() -> None:
    odd = []
    for row in paper_table("affnet-6").rows:
        for time, rate in zip(row.cells[::2], row.cells[1::2]):
            assert time.value is not None and rate.value is not None
            if abs(1000 / time.value - rate.value) > 0.1:
                odd.append((row.label, rate.printed, bool(rate.note)))
    assert odd == [("SPSSNet", "135.5", True)]


@pytest.mark.parametrize("label", ["SPSSNet", "AFFNet"])
def test_the_fps_of_table_iii_is_none_of_table_vi_and_says_so(label: str) -> None:
    cell = cell_of("affnet-3", label, "FPS")
    assert cell.value not in values(row_of("affnet-6", label))
    assert cell.note


def test_the_abstract_and_table_iv_print_another_miou_of_affnet_and_say_so() -> None:
    assert cell_of("affnet-abstract", "AFFNet", "mIoU").value == cell_of("affnet-5", "AFFNet(ours)", "mIoU").value
    assert cell_of("affnet-abstract", "AFFNet", "mIoU").value != cell_of("affnet-4", "AFFNet", "mIoU").value
    assert "70.4" in cell_of("affnet-abstract", "AFFNet", "mIoU").note


def test_the_parameters_the_introduction_gives_pspnet_are_not_those_of_its_weights_and_it_says_so() -> None:
    stated = cell_of("mlff-introduction", "PSPNet", "parameters").value
    size = cell_of("mlff-4", "PSPNet", "weights").value
    assert stated is not None and size is not None
    assert stated * 1e6 * 4 / 2**20 > 1.3 * size
    assert row_of("mlff-introduction", "PSPNet").note and cell_of("mlff-4", "PSPNet", "weights").note


@pytest.mark.parametrize("label", ["S2-FPN18", "S2-FPN34", "S2-FPN34M"])
def test_where_readme_and_abstract_of_s2fpn_differ_on_camvid_the_readmes_row_says_so(label: str) -> None:
    rows = [row for row in paper_table("s2fpn-camvid").rows if row.label == label]
    readme, abstract = (next(row for row in rows if row.source.startswith(word)) for word in ("README", "abstract"))
    assert (readme.cells[0].value == abstract.cells[0].value) == (readme.cells[0].note == "")


def test_a_size_that_had_to_be_assumed_says_why() -> None:
    assumed = [
        column for table in paper_tables().values() for column in table.columns if column.assumed_resolution is not None
    ]
    assert assumed
    assert all(column.note and column.resolution is None for column in assumed)


def test_headings_that_repeat_are_told_apart_by_their_size() -> None:
    names = [column.name for column in paper_table("affnet-6").columns]
    assert names[:3] == ["512x512 ms", "512x512 FPS", "512x1024 ms"]


def test_tables_with_a_latency_or_a_rate_print_speed() -> None:
    assert {table.id for table in paper_tables().values() if table.prints_speed} >= {
        "affnet-3", "affnet-6", "mlff-4", "mlff-5", "s2fpn-cityscapes", "s2fpn-camvid", "haff-abstract"
    }  # fmt: skip
    assert not paper_table("affnet-4").prints_speed


def test_a_mistyped_table_is_refused_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match="Try: use 'affnet-6'"):
        paper_table("afnet-6")


def test_a_table_inherits_what_its_paper_says_of_all(tmp_path: Path) -> None:
    (table,) = tables_of(SMALL, tmp_path)
    assert (table.dataset, table.classes, table.gpu, table.split) == ("streets", 11, "", "")
    (changed,) = tables_of(SMALL.replace('label = "Table 1"', 'label = "Table 1"\ngpu = "a GPU"'), tmp_path)
    assert changed.gpu == "a GPU"


def test_a_dash_is_a_value_that_is_not_printed(tmp_path: Path) -> None:
    (table,) = tables_of(SMALL, tmp_path)
    assert table.rows[0].cells == (Cell("1.50", 1.5, "doubtful"), Cell(None, None))


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('venue = "2020"', "", "lacks fields; expected venue"),
        ('venue = "2020"', "venue = 2020", "venue has the wrong type"),
        ('venue = "2020"', 'venue = "2020"\nyear = 2020', "unknown fields; got year"),
        ("classes = 11", "", "table small-1 lacks fields; expected classes"),
        ('heading = "Network"', "", "table small-1 lacks fields; expected heading"),
        ('unit = "ms", resolution', 'unit = "ms", size', "a column of table small-1 has unknown fields; got size"),
        ('"64x64"', '"64"', "not a resolution"),
        ('metric = "latency"', 'metric = "latancy"', "unknown metric in table small-1.*Try: use 'latency'"),
        ('[1.50, "-"]', "[1.50]", "row 'AFFNet' of table small-1 does not fit the columns; got 1; expected 2 cells"),
        ('[1.50, "-"]', "[1.50, true]", "a cell that is neither number nor text; got True"),
        ('[1.50, "-"]', "[-1.50, 2]", "negative value; got -1.50"),
        ("{ ms = ", "{ FPS = ", "the notes of row 'AFFNet' of table small-1 has unknown fields; got FPS"),
        ('network = "affnet", ', "", "names no network"),
        ('network = "affnet", ', 'network = "affnet", unbuildable = "no", ', "names no network"),
        ('network = "affnet", ', 'unbuildable = "", ', "an empty reason"),
        ('network = "affnet", ', 'unbuildable = "no", options = { a = "b" }, ', "options without a network"),
        ('heading = "Network"', 'heading = "Network"\nrows_of = "layer"', "unknown kind of rows.*Try: use 'layers'"),
        ("[tables.small-1]", "[tables.small-1", "is not TOML"),
    ],
)
def test_a_file_that_breaks_the_form_is_refused_where_it_is_wrong(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert SMALL.count(right) == 1
    with pytest.raises((SpecError, UnknownNameError), match=message):
        tables_of(SMALL.replace(right, wrong), tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    text = SMALL.replace(
        'heading = "mIoU", metric = "miou", unit = "%"',
        'heading = "ms", metric = "latency", unit = "ms", resolution = "64x64"',
    )
    with pytest.raises(SpecError, match="two columns of table small-1 have one name"):
        tables_of(text, tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot read the tables"):
        read_tables(tmp_path / "none.toml")
