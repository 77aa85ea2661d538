"""`rtseg sensitivity`, and `rtseg quantize --max-drop`, which uses it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.cli.show.sensitivity_text import LOSS_COLOUR, TOGETHER_COLOUR, sensitivity_plot
from rtseg.graphs.canonical import read_canonical
from rtseg.quantization.census import census_of
from rtseg.runners.registry import DEFAULT_RUNNERS
from tests.staged_network import BLOCKS, HEAD, LATE, PICTURES, Staged

DEFAULT_RUNNER = DEFAULT_RUNNERS["onnx"]

Cli = Callable[..., Any]
Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def late(staged: Staged, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in which the block `late` reads what is far too coarse."""
    return staged.sabotaged([LATE], tmp_path_factory.mktemp("tables") / "late.json")


@pytest.fixture
def ranked(cli: Cli, staged: Staged, late: Path) -> Cli:
    """Rank the four blocks of the network whose block `late` is sabotaged."""
    command = ("sensitivity", staged.onnx, "--table", late, "--data", staged.data, "--blocks", 4, "--threads", 1)
    return lambda *arguments: cli(*command, *arguments)


def facts_of(outcome: Any) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    facts: dict[str, Any] = json.loads(outcome.out)
    return facts


def rows_of(outcome: Any) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in outcome.out.splitlines() if "│" in line]


def test_the_table_ranks_the_blocks_and_ends_with_all_together(ranked: Cli) -> None:
    outcome = ranked()
    assert (outcome.code, outcome.err) == (0, "")
    rows = rows_of(outcome)
    assert rows[0][0] == LATE and rows[-1][0] == "all of them"
    assert {row[0] for row in rows[:-1]} == set(BLOCKS)
    facts = facts_of(ranked("--json"))
    for row, entry in zip(rows, [*facts["blocks"], facts["together"]]):
        low, high = entry["interval_points"]
        assert row[2:] == [
            f"{entry['drop_points']:+.2f}",
            f"{low:+.2f} to {high:+.2f}",
            f"{entry['agreement'] * 100:.2f} %",
            f"{entry['border_agreement'] * 100:.2f} %",
        ]
    assert f"camvid val, {PICTURES} pictures, placed for tensorrt" in outcome.out
    assert outcome.out.splitlines()[-1].startswith("computed on CPU") and outcome.out.endswith(f"by {DEFAULT_RUNNER}\n")


def test_shares_of_the_work_add_up_to_that_of_all(ranked: Cli) -> None:
    shares = [float(row[1].rstrip(" %")) for row in rows_of(ranked())]
    assert sum(shares[:-1]) == pytest.approx(shares[-1], abs=0.03)
    assert shares[-1] == 100


def test_json_is_printed_and_written_alike(ranked: Cli, tmp_path: Path) -> None:
    outcome = ranked("--json", "-o", tmp_path / "new" / "ranking.json")
    facts = facts_of(outcome)
    assert json.loads((tmp_path / "new" / "ranking.json").read_text()) == facts
    assert outcome.err == f"wrote {tmp_path / 'new' / 'ranking.json'}\n"
    assert (facts["network"], facts["resolution"], facts["runner"]) == ("mine:staged", "64x96", DEFAULT_RUNNER)
    assert (facts["data"], facts["split"], facts["pictures"], facts["labelled"]) == ("camvid", "val", PICTURES, True)
    assert {entry["block"]: set(entry["operators"]) for entry in facts["blocks"]} == BLOCKS


def test_without_labels_the_table_tells_agreement_only_and_says_so(cli: Cli, staged: Staged, late: Path) -> None:
    command = ("sensitivity", staged.onnx, "--table", late, "--data", staged.unlabelled, "--blocks", 4)
    outcome = cli(*command)
    rows = rows_of(outcome)
    assert rows[0][0] == LATE and all(len(row) == 4 for row in rows)
    assert "No labels: agreement with FP32, not accuracy" in outcome.out and "mIoU" not in outcome.out
    facts = facts_of(cli(*command, "--json"))
    assert (facts["labelled"], facts["split"], facts["together"]["drop_points"]) == (False, None, None)
    agreements = [entry["agreement"] for entry in facts["blocks"]]
    assert agreements == sorted(agreements)


def test_limit_target_and_exclusions_are_kept_to(ranked: Cli) -> None:
    facts = facts_of(ranked("--limit", 1, "--target", "onnxruntime", "--exclude", "/network/stem", "--json"))
    assert (facts["pictures"], facts["target"], facts["together"]["interval_points"]) == (1, "onnxruntime", None)
    operators = {name for entry in facts["blocks"] for name in entry["operators"]}
    assert operators and not operators & BLOCKS["stem"]
    assert "- " in ranked("--limit", 1).out  # one picture gives no interval


def pixels(path: Path, colour: str) -> int:
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return int(np.count_nonzero((image == [int(colour[at : at + 2], 16) for at in (1, 3, 5)]).all(2)))


def test_the_plot_has_a_bar_as_long_as_each_loss(ranked: Cli, tmp_path: Path) -> None:
    path = tmp_path / "plots" / "ranking.png"
    outcome = ranked("--plot", path, "--json")
    facts = facts_of(outcome)
    assert outcome.err == f"drew {path}\n"
    losses = [entry["drop_points"] for entry in facts["blocks"]]
    assert min(losses) > 0
    bars, together = pixels(path, LOSS_COLOUR), pixels(path, TOGETHER_COLOUR)
    assert bars / together == pytest.approx(sum(losses) / facts["together"]["drop_points"], rel=0.1)


def test_an_svg_holds_the_names_as_text(ranked: Cli, tmp_path: Path) -> None:
    path = tmp_path / "ranking.svg"
    facts = facts_of(ranked("--plot", path, "--json"))
    texts = ["".join(node.itertext()) for node in ElementTree.parse(path).iter() if node.tag.endswith("text")]
    for entry in facts["blocks"]:
        assert f"{entry['block']}  ({entry['macs_share'] * 100:.1f} % of the MACs)" in texts
    assert {"all of them together", "points of mIoU lost against FP32 (line: 95 % interval)"} <= set(texts)
    assert "mine:staged 64x96: what INT8 costs in one block alone" in texts


def test_a_plot_without_labels_says_what_its_bars_are(cli: Cli, staged: Staged, late: Path, tmp_path: Path) -> None:
    path = tmp_path / "ranking.svg"
    data = ("--data", staged.unlabelled, "--blocks", 4, "--plot", path)
    assert cli("sensitivity", staged.onnx, "--table", late, *data).code == 0
    assert "percent of pixels unlike FP32" in path.read_text() and "mIoU" not in path.read_text()


def test_odd_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    long = "network/" + "/".join(f"module{index}" for index in range(12))
    entry = {"drop_points": 0.1, "interval_points": None, "macs_share": 0.5, "agreement": 1.0, "border_agreement": None}
    facts = {
        "network": "$x^2$", "resolution": "64x64", "data": "camvid", "split": "val", "pictures": 1, "labelled": True,
        "target": "tensorrt", "runner": "onnxruntime", "together": entry,
        "blocks": [{**entry, "block": long}, {**entry, "block": "$a$b"}, {**entry, "block": "c", "drop_points": -0.1}],
    }  # fmt: skip
    sensitivity_plot(facts, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert "…" in text and long[-39:] in text and long not in text
    assert "$a$b  (50.0 % of the MACs)" in text and "$x^2$" in text


def unread(tmp_path: Path) -> tuple[object, ...]:
    """A command whose files do not exist: what it is refused for was found before they were looked for."""
    return ("sensitivity", tmp_path / "no.onnx", "--table", tmp_path / "no.json", "--data", "streets")


def test_a_plot_of_an_unknown_kind_is_refused_before_the_work(refused: Refused, tmp_path: Path) -> None:
    message = refused(*unread(tmp_path), "--plot", tmp_path / "plot.xlsx")
    assert message == "a plot cannot be written as plot.xlsx; expected a name that ends in .png, .svg, .pdf"


def test_a_plot_that_cannot_be_written_is_refused_before_the_work(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused(*unread(tmp_path), "--plot", tmp_path / "file" / "plot.png")
    assert message.startswith(f"cannot write {tmp_path / 'file' / 'plot.png'}")


def test_a_missing_matplotlib_is_told_before_the_work_with_the_extra(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = refused(*unread(tmp_path), "--plot", tmp_path / "plot.png")
    assert message.startswith("drawing a plot needs the package matplotlib, which is not installed")
    assert message.endswith("Try: run pip install 'rtseg[report]'")


def test_matplotlib_is_not_needed_for_the_table(ranked: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert ranked("--limit", 1).code == 0


@pytest.mark.parametrize("option", ["-o", "--plot"])
@pytest.mark.parametrize("given", ["onnx", "table"])
def test_what_the_work_needs_is_not_overwritten(
    refused: Refused, staged: Staged, tmp_path: Path, option: str, given: str
) -> None:
    files = {"onnx": tmp_path / "net.png", "table": tmp_path / "table.png"}
    for name, path in files.items():
        path.write_text(name)
    arguments = ("sensitivity", files["onnx"], "--table", files["table"], "--data", staged.data, option, files[given])
    assert "would overwrite what belongs to" in refused(*arguments)
    assert [path.read_text() for path in files.values()] == list(files)


def test_a_table_of_another_graph_is_refused(refused: Refused, staged: Staged, affnet_file: Path) -> None:
    message = refused("sensitivity", affnet_file, "--table", staged.table, "--data", staged.data)
    assert message.startswith(f"the calibration table is of another graph than {affnet_file}")


def test_exclusions_that_leave_nothing_are_refused(refused: Refused, staged: Staged) -> None:
    message = refused("sensitivity", staged.onnx, "--table", staged.table, "--data", staged.data, "--exclude", "*")
    assert message.startswith(f"nothing of {staged.onnx} would become INT8; got excluded")


# rtseg quantize --max-drop


@pytest.fixture
def chosen(cli: Cli, staged: Staged, tmp_path: Path) -> Cli:
    """Quantise the network with that table and budget, to int8.onnx."""
    data = ("--data", staged.data, "--threads", 1, "-o", tmp_path / "int8.onnx")
    return lambda table, budget, *more: cli(
        "quantize", staged.onnx, "--table", table, "--to", "int8", "--max-drop", budget, *data, *more
    )


def test_the_file_that_is_written_lost_what_was_measured_and_that_is_told(
    chosen: Cli, cli: Cli, staged: Staged, late: Path, tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    outcome = chosen(late, 9)
    assert (outcome.code, outcome.out) == (0, f"{path}\n")
    budget = read_manifest(path, kind="onnx").details.budget
    assert [entry["block"] for entry in budget["kept"]] == [LATE]
    assert (budget["max_drop_points"], budget["data"], budget["split"]) == (9, "camvid", "val")
    predicted, measured = budget["predicted_drop_points"], budget["measured_drop_points"]
    assert 0 < measured <= 9 and predicted > 0
    low, high = budget["interval_points"]
    assert (
        f"mIoU lost against FP32, in points: 9 allowed, {predicted:.2f} predicted from the blocks alone, "
        f"{measured:.2f} measured (95 % interval {low:.2f} to {high:.2f}), "
        f"on {PICTURES} pictures of camvid val by {DEFAULT_RUNNER}"
    ) in outcome.err.splitlines()
    assert f"kept out of INT8: {LATE}, 18.5% of the MACs" in outcome.err
    compared = facts_of(cli("validate", path, "--against", staged.onnx, "--data", staged.data, "--json"))
    assert compared["difference_points"] == -measured
    assert not census_of(read_canonical(path)).int8 & BLOCKS[LATE]
    gate = cli("validate", path, "--against", staged.onnx, "--data", staged.data, "--max-drop", 9)
    assert gate.code == 0


def test_every_set_that_was_tried_is_told_as_it_goes(chosen: Cli, late: Path) -> None:
    lines = chosen(late, 9).err.splitlines()
    assert lines[0].startswith("INT8 everywhere: ") and lines[0].endswith(" points of mIoU lost")
    assert lines[1] == "that is more than 9: measuring each block alone, then sets of blocks"
    assert any(line.startswith("without 1 block, 18.5% of the MACs: ") for line in lines[2:])


def test_where_int8_everywhere_holds_nothing_is_predicted_or_kept(chosen: Cli, staged: Staged, tmp_path: Path) -> None:
    outcome = chosen(staged.table, 50)
    budget = read_manifest(tmp_path / "int8.onnx", kind="onnx").details.budget
    assert (budget["kept"], budget["predicted_drop_points"]) == ([], None)
    assert outcome.err.splitlines()[-1] == "no block had to stay out of INT8"
    assert "predicted" not in outcome.err and "measuring each block" not in outcome.err
    plain = tmp_path / "plain.onnx"
    assert chosen(staged.table, 50, "-o", plain).code == 0
    assert plain.read_bytes() == (tmp_path / "int8.onnx").read_bytes()


def test_a_budget_that_few_pictures_cannot_be_sure_of_is_said_to_be_that(chosen: Cli, staged: Staged) -> None:
    unsure = "too few pictures to be sure that similar pictures lose no more than that"
    assert unsure in chosen(staged.table, 50, "--limit", 1).err.splitlines()
    assert unsure not in chosen(staged.table, 50).err.splitlines()


def test_excluded_operators_stay_out_beside_the_blocks_that_cost(
    chosen: Cli, staged: Staged, late: Path, tmp_path: Path
) -> None:
    assert chosen(late, 9, "--exclude", "/network/head").code == 0
    details = read_manifest(tmp_path / "int8.onnx", kind="onnx").details
    assert details.excluded == tuple(sorted(BLOCKS[HEAD]))
    assert [entry["block"] for entry in details.budget["kept"]] == [LATE]
    assert not census_of(read_canonical(tmp_path / "int8.onnx")).int8 & (BLOCKS[HEAD] | BLOCKS[LATE])


def test_a_budget_is_held_for_onnx_runtime_too(chosen: Cli, late: Path, tmp_path: Path) -> None:
    assert chosen(late, 9, "--target", "onnxruntime").code == 0
    budget = read_manifest(tmp_path / "int8.onnx", kind="onnx").details.budget
    assert budget["measured_drop_points"] <= 9 and LATE in {entry["block"] for entry in budget["kept"]}


def test_a_budget_that_no_block_holds_is_an_error_and_leaves_no_file(
    chosen: Cli, staged: Staged, tmp_path: Path, files_in: Listing
) -> None:
    table = staged.sabotaged(BLOCKS, tmp_path / "all.json")
    outcome = chosen(table, 0.5)
    assert outcome.code == 1 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith("rtseg: error: no set of blocks in INT8 meets that budget; got ")
    assert "expected at most 0.5. Try: allow a larger --max-drop" in last
    assert files_in(tmp_path) == ["all.json"]


def test_json_has_the_budget(chosen: Cli, late: Path) -> None:
    outcome = chosen(late, 9, "--json", "--limit", 2)
    budget = facts_of(outcome)["manifest"]["details"]["budget"]
    assert budget["pictures"] == 2 and budget["kept"][0]["block"] == LATE
    assert {"predicted_drop_points", "measured_drop_points", "interval_points", "agreement"} <= set(budget)


def test_a_budget_on_pictures_without_labels_is_refused(
    refused: Refused, staged: Staged, tmp_path: Path, files_in: Listing
) -> None:
    data = ("--max-drop", 1, "--data", staged.unlabelled, "-o", tmp_path / "int8.onnx")
    message = refused("quantize", staged.onnx, "--table", staged.table, "--to", "int8", *data)
    assert message.startswith(f"{staged.unlabelled} has no labels")
    assert files_in(tmp_path) == []


def test_the_table_is_not_overwritten_by_the_file_or_its_manifest(
    refused: Refused, staged: Staged, tmp_path: Path
) -> None:
    table = tmp_path / "net.json"
    shutil.copy(staged.table, table)
    for output in (table, tmp_path / "net"):
        assert table in (output, manifest_path(output))
        message = refused("quantize", staged.onnx, "--table", table, "--to", "int8", "-o", output)
        assert message.endswith(f"would overwrite what belongs to {table}. Try: choose another name for the output")
    assert table.read_bytes() == staged.table.read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", "int8", "--table", "t.json", "--max-drop", "1"),
        ("--to", "int8", "--table", "t.json", "--data", "streets"),
        ("--to", "int8", "--table", "t.json", "--limit", "3"),
        ("--to", "int8", "--table", "t.json", "--max-drop", "101", "--data", "streets"),
        ("--to", "fp16", "--max-drop", "1", "--data", "streets"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told(misused: Refused, arguments: tuple[str, ...]) -> None:
    assert misused("quantize", "a.onnx", *arguments).startswith("Error: ")
