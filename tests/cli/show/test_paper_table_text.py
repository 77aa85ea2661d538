"""The table of a paper as it is printed, from a result as the harness gives it."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from rtseg.benchmarking.paper_table import table_list
from rtseg.cli.show.paper_table_text import print_paper_list, print_paper_table


def cell(
    printed: str | None,
    *here: float | None,
    rows: Sequence[int | None] = (0,),
    counted: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    value = None if printed is None else float(printed)
    positions = list(rows) if here else [None] * len(rows)
    figures = list(here) or [None] * len(rows)
    return {"printed": printed, "paper": value, "here": figures, "rows": positions, "counted": counted, "note": note}


def line(label: str, cells: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    fixed = {
        "label": label,
        "network": label.lower(),
        "source": "Table VI",
        "unbuildable": "",
        "note": "",
        "miou": None,
    }
    return {**fixed, "cells": cells, **changes}


def column(heading: str, metric: str, resolution: str | None = None, **changes: Any) -> dict[str, Any]:
    fixed = {"name": heading, "heading": heading, "metric": metric, "resolution": resolution}
    return {**fixed, "note": "", "resolution_from": "paper", **changes}


def row(**changes: Any) -> dict[str, Any]:
    fixed = {"network": "erfnet", "resolution": "512x512", "precision": "fp32", "weights": "random (seed 0)"}
    status = {
        "status": "STABLE",
        "reason": "the median is known",
        "word": "",
        "summary": {},
        "verdict": None,
        "why_no_miou": "",
    }
    fixed["miou"] = None  # type: ignore[assignment]
    return {**fixed, "backend": "onnxruntime", "device": "CPU (x86_64, 2 threads)", **status, **changes}


RESULT: dict[str, Any] = {
    "table": {
        "id": "affnet-6",
        "label": "Table VI",
        "caption": "speed at one size",
        "heading": "Network",
        "paper": {"short": "AFFNet", "title": "Lightweight", "venue": "IAENG"},
        "gpu": "NVIDIA GeForce RTX 2080",
        "framework": "PyTorch",
        "dataset": "cityscapes",
        "split": "val",
        "note": "printed by hand",
        "columns": [
            column("ms", "latency", "512x512"),
            column("FPS", "fps", "512x512", note="the size is a guess", resolution_from="assumed"),
            column("mIoU", "miou"),
            column("Parameters", "parameters"),
        ],
    },
    "classes": 19,
    "lines": [
        line("ERFNet", [cell("12", 200.5), cell("83.3", 4.99), cell("68.0"), cell("2.1", counted=2.064)]),
        line(
            "DSNet",
            [cell("9"), cell("100", note="1000 / 9 is 111"), cell(None), cell("0.9")],
            unbuildable="no layers",
            network=None,
        ),
    ],
    "contenders": [{"runner": "onnxruntime", "precision": "fp32"}],
    "boundaries": {"network": "tensor -> scores"},
    "rows": [row()],
    "environment": {"cpu": {"model": "a CPU", "available_cores": 2}, "tools": {}, "gpus": [], "load_average": [0.5]},
}


def printed(result: dict[str, Any] = RESULT) -> str:
    stream = io.StringIO()
    print_paper_table(result, Console(file=stream, width=160, markup=False, highlight=False))
    return stream.getvalue()


def cells_of(text: str, label: str) -> list[str]:
    return next(line for line in text.splitlines() if line.lstrip().startswith(f"{label} ")).split()


def test_each_line_of_the_paper_has_ours_below_it() -> None:
    assert cells_of(printed(), "ERFNet") == ["ERFNet", "12", "83.3", "68.0", "2.1"]
    assert cells_of(printed(), "onnxruntime") == ["onnxruntime", "fp32", "200.50", "4.99", "-", "2.06"]


def several() -> dict[str, Any]:
    """Two contenders: the second could not be run."""
    result = copy.deepcopy(RESULT)
    result["contenders"].append({"runner": "tensorrt-rtx", "precision": "int8"})
    result["lines"][0]["cells"][:2] = [cell("12", 200.5, None, rows=(0, 1)), cell("83.3", 4.99, None, rows=(0, 1))]
    proven = {"undecided": "", "passed": True, "failures": [], "notices": []}
    result["rows"].append(row(summary=None, word="no driver", reason="CUDA cannot be used", verdict=proven, device=""))
    for entry in (*result["lines"][0]["cells"][2:], *(c for c in result["lines"][1]["cells"])):
        entry["rows"] = entry["here"] = [None, None]
    return result


def test_every_contender_has_a_line_and_one_that_was_not_timed_says_why_in_a_word() -> None:
    text = printed(several())
    assert cells_of(text, "onnxruntime")[2:4] == ["200.50", "4.99"]
    assert cells_of(text, "tensorrt-rtx") == ["tensorrt-rtx", "int8", "no", "driver", "no", "driver", "-", "2.06"]
    assert "no driver: CUDA cannot be used" in text


def test_the_verdicts_on_the_engines_are_counted() -> None:
    assert "precision of the engines, by audit: 1 proven" in printed(several())
    assert "audit" not in printed()


def test_a_row_that_cannot_be_built_has_no_line_of_ours() -> None:
    assert printed().count("  onnxruntime fp32") == 1


def test_accuracy_measured_here_has_a_column_for_each_size_and_names_its_data() -> None:
    result = copy.deepcopy(RESULT)
    result["rows"][0]["miou"] = 0.63171
    result["data"] = {"name": "camvid", "split": "val", "pictures": 101}
    text = printed(result)
    assert cells_of(text, "onnxruntime")[-2:] == ["63.17", "%"]
    assert "mIoU here: camvid val, 101 pictures" in text and "accuracy: not measured" not in text


def test_the_papers_accuracy_stands_beside_with_its_dataset_where_the_table_has_none() -> None:
    result = copy.deepcopy(RESULT)
    result["rows"][0]["miou"] = 0.63171
    result["lines"][0]["miou"] = {"percent": 68.0, "dataset": "cityscapes"}
    assert "cityscapes" not in cells_of(printed(result), "ERFNet")
    result["table"]["columns"][2]["metric"] = "macs"
    assert cells_of(printed(result), "ERFNet")[-2:] == ["68", "cityscapes"]


def test_a_table_of_three_sizes_fits_a_terminal_of_80_columns() -> None:
    result = several()
    stream = io.StringIO()
    print_paper_table(result, Console(file=stream, width=80, markup=False, highlight=False))
    table = stream.getvalue().split("paper: Lightweight")[0]
    assert "200.50" in table and "no driver" in table and "\u2026" not in table


def test_the_caption_names_the_papers_gpu_and_the_machine_here() -> None:
    head = printed().splitlines()[:2]
    assert head[0].startswith("affnet-6: AFFNet, Table VI")
    assert "paper: NVIDIA GeForce RTX 2080; here: CPU" in head[1]
    assert "other hardware: not comparable" in head[1]


def test_a_gpu_that_the_paper_does_not_state_is_said_to_be_so() -> None:
    result = copy.deepcopy(RESULT)
    result["table"]["gpu"] = ""
    assert "paper: GPU not stated; here: CPU" in printed(result)


def test_a_row_that_cannot_be_built_stays_with_a_footnote() -> None:
    text = printed()
    assert cells_of(text, "DSNet")[:4] == ["DSNet", "[2]", "9", "100"]
    assert "[2] cannot be built: no layers" in text


def test_notes_on_a_cell_and_on_a_column_are_footnotes() -> None:
    text = printed()
    assert "FPS [1]" in text and "[1] the size is a guess" in text
    assert "100 [3]" in text and "[3] 1000 / 9 is 111" in text


def test_one_text_has_one_footnote() -> None:
    result = copy.deepcopy(RESULT)
    result["lines"][0]["note"] = result["lines"][1]["note"] = "widths are chosen"
    text = printed(result)
    assert text.count("] widths are chosen") == 1
    assert cells_of(text, "ERFNet")[1] == "[2]" and cells_of(text, "DSNet")[1] == "[3][2]"


def test_a_value_that_is_not_stable_is_marked_and_says_why() -> None:
    result = {**RESULT, "rows": [row(status="UNSTABLE", reason="the median drifted")]}
    text = printed(result)
    assert cells_of(text, "onnxruntime")[2] == "~200.50"
    assert "~ UNSTABLE: erfnet 512x512, the median drifted" in text


def test_what_is_not_measured_or_not_stated_is_said() -> None:
    text = printed()
    assert "accuracy here: not measured; --data measures it for trained weights" in text
    assert "FPS: the paper states no size, 512x512 is assumed" in text
    assert "note: printed by hand" in text
    assert "multiply-accumulates" not in text


def test_sources_are_named_where_a_table_has_several() -> None:
    result = copy.deepcopy(RESULT)
    result["lines"][0]["source"] = "abstract"
    assert "source" in printed(result) and cells_of(printed(result), "ERFNet")[1] == "abstract"
    assert "source" not in printed()


def test_the_list_of_tables_names_them_all_and_how_to_run_one() -> None:
    stream = io.StringIO()
    print_paper_list(table_list(), Console(file=stream, width=160, markup=False, highlight=False))
    text = stream.getvalue()
    assert all(entry["id"] in text for entry in table_list())
    assert "rtseg bench --table ID" in text
    assert "-" in next(line for line in text.splitlines() if " affnet-4 " in line).split()
