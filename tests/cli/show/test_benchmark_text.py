"""The benchmark table, from a result as the harness gives it."""

from __future__ import annotations

import io
import re
from typing import Any

from rich.console import Console

from rtseg.cli.show.benchmark_text import paper_text, print_benchmark

WORDS = re.compile(r"\S+(?: \S+)*")
"""What stands in one cell: two spaces at least are between two of them."""

CLAIM: dict[str, Any] = {
    "source": "Table VI",
    "gpu": "NVIDIA GeForce RTX 2080",
    "framework": "PyTorch",
    "dataset": "cityscapes",
    "latency_ms": 28.0,
    "fps": 35.7,
    "miou_percent": 70.8,
    "note": "",
}


def result(**changes: Any) -> dict[str, Any]:
    summary = {"median_ms": 12.5, "p90_ms": 13.0, "p99_ms": 15.25, "fps": 80.0, "cv": 0.042, "count": 37}
    row = {
        "network": "affnet",
        "weights": "random (seed 0)",
        "precision": "fp32",
        "resolution": "1024x2048",
        "boundary": "network",
        "backend": "onnxruntime",
        "device": "CPU (x86_64, 2 threads)",
        "status": "STABLE",
        "reason": "the median is known",
        "word": "",
        "file": "",
        "why_no_miou": "",
        "verdict": None,
        "miou": None,
        "vs_first": None,
        "summary": summary,
        "paper": [CLAIM],
        **changes,
    }
    environment = {
        "cpu": {"model": "a CPU", "available_cores": 2},
        "tools": {},
        "gpus": [],
        "load_average": [0.5, 0, 0],
    }
    return {
        "resolution": "1024x2048",
        "environment": environment,
        "boundaries": {"network": "tensor -> scores"},
        "rows": [row],
    }


def printed(data: dict[str, Any]) -> str:
    stream = io.StringIO()
    print_benchmark(data, Console(file=stream, width=160, markup=False, highlight=False))
    return stream.getvalue()


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith("affnet  ")]


def row_of(text: str) -> str:
    return rows_of(text)[0]


def table_of(text: str) -> list[dict[str, str]]:
    """Return each row as a reader sees it: by heading, what stands under it."""
    head = next(line for line in text.splitlines() if line.lstrip().startswith("network "))
    headings = list(WORDS.finditer(head))
    return [
        {
            heading[0]: cell[0]
            for heading in headings
            for cell in WORDS.finditer(line)
            if cell.start() < heading.end() and heading.start() < cell.end()
        }
        for line in rows_of(text)
    ]


def test_a_row_shows_latency_percentiles_fps_spread_and_count() -> None:
    figures = {"median": "12.50", "p90": "13.00", "p99": "15.25", "FPS": "80.0", "CoV": "4.2%", "n": "37"}
    (row,) = table_of(printed(result()))
    assert row.items() >= figures.items()


def test_a_row_says_on_what_it_ran_and_that_its_weights_are_random() -> None:
    (row,) = table_of(printed(result()))
    assert row.items() >= {"weights": "random", "boundary": "network", "on": "CPU"}.items()


def test_a_row_says_what_ran_it_and_in_which_precision_the_file_is() -> None:
    (row,) = table_of(printed(result(backend="openvino", precision="int8")))
    assert (row["runner"], row["precision"]) == ("openvino", "int8")


def test_rows_measured_in_turns_show_their_ratio_to_the_first() -> None:
    data = result(vs_first=1.0)
    data["rows"].append({**data["rows"][0], "backend": "openvino", "vs_first": 0.614})
    text = printed(data)
    assert [row["vs first"] for row in table_of(text)] == ["1.00", "0.61"]
    assert "vs first: median over that of the first timed row of the same boundary" in text


def test_rows_measured_apart_show_no_ratio() -> None:
    assert "vs first" not in printed(result())


def test_rows_of_several_sizes_say_their_own() -> None:
    data = result()
    data["rows"].append({**data["rows"][0], "resolution": "512x1024"})
    assert [row["size"] for row in table_of(printed(data))] == ["1024x2048", "512x1024"]
    assert printed(result()).count("1024x2048") == 1


def test_rows_measured_in_turns_are_set_apart_by_boundary_and_others_by_network() -> None:
    def gaps(*rows: dict[str, Any]) -> list[int]:
        data = result()
        data["rows"] = [{**data["rows"][0], **row} for row in rows]
        lines = [line for line in printed(data).splitlines() if "12.50" in line or not line.strip()]
        shown = "".join("." if line.strip() else " " for line in lines).strip()
        return [len(group) for group in shown.split()]

    turns = [{"network": name, "boundary": b, "vs_first": 1.0} for b in ("engine", "frame") for name in ("a", "b", "c")]
    apart = [{"network": name, "boundary": b} for name in ("a", "b", "c") for b in ("engine", "frame")]
    assert gaps(*turns) == [3, 3]
    assert gaps(*apart) == [2, 2, 2]


def test_the_paper_stands_beside_with_its_gpu() -> None:
    (row,) = table_of(printed(result()))
    assert row["paper"] == "28 ms 35.7 FPS, RTX 2080"


def test_the_miou_is_shown_in_percent() -> None:
    (row,) = table_of(printed(result(miou=0.6125)))
    assert row["mIoU"] == "61.25 %"


def test_a_claim_without_latency_shows_its_fps() -> None:
    assert paper_text({**CLAIM, "latency_ms": None}) == "35.7 FPS, RTX 2080"


def test_a_claim_that_says_nothing_beyond_another_one_is_not_shown_twice() -> None:
    abstract = {**CLAIM, "source": "abstract", "latency_ms": None}
    text = printed(result(paper=[abstract, CLAIM]))
    assert text.count("35.7 FPS, RTX 2080") == 1
    assert "paper, affnet: abstract" in text


def test_a_claim_without_a_gpu_says_so() -> None:
    assert paper_text({**CLAIM, "gpu": ""}) == "28 ms 35.7 FPS, GPU not stated"


def test_a_table_in_a_file_keeps_each_row_on_one_line() -> None:
    assert len([line for line in printed(result()).splitlines() if "12.50" in line and "RTX 2080" in line]) == 1


# What was not timed, and what an audit said


PROVEN = {"undecided": "", "passed": True, "failures": [], "notices": []}


def test_a_row_that_was_not_timed_says_why_in_a_word_and_below_in_a_sentence() -> None:
    text = printed(result(summary=None, status="NOT TIMED", word="no driver", reason="CUDA cannot be used", device=""))
    (row,) = table_of(text)
    assert row.items() >= {"median": "no driver", "p90": "-", "FPS": "-", "on": "-"}.items()
    assert "no driver: affnet 1024x2048 fp32 with onnxruntime, CUDA cannot be used" in text


def test_an_engine_has_its_verdict_beside_and_other_files_no_such_column() -> None:
    assert table_of(printed(result(verdict=PROVEN)))[0]["verdict"] == "proven"
    assert "verdict" not in printed(result())


def test_what_an_audit_could_not_prove_is_said() -> None:
    text = printed(result(verdict={**PROVEN, "passed": False, "undecided": "the text is unreadable"}))
    assert table_of(text)[0]["verdict"] == "not proven"
    assert "not proven: affnet 1024x2048 fp32 with onnxruntime, the text is unreadable" in text


def test_a_narrow_terminal_does_without_columns_rather_than_cut_a_figure() -> None:
    stream = io.StringIO()
    print_benchmark(result(), Console(file=stream, width=80, markup=False, highlight=False))
    text = stream.getvalue()
    (row,) = table_of(text)
    assert row.items() >= {"network": "affnet", "runner": "onnxruntime", "median": "12.50", "FPS": "80.0"}.items()
    assert "\u2026" not in text and "a wider terminal also shows paper" in text


def test_a_median_that_is_not_known_well_is_marked_and_says_why() -> None:
    text = printed(result(status="UNSTABLE", reason="the median drifted"))
    assert table_of(text)[0]["median"] == "~12.50"
    assert "~ UNSTABLE: affnet 1024x2048 fp32 with onnxruntime, network: the median drifted" in text


def test_files_that_are_told_apart_by_their_names_alone_show_them() -> None:
    data = result(file="a.onnx")
    data["rows"].append({**data["rows"][0], "file": "b.onnx"})
    assert [row["file"] for row in table_of(printed(data))] == ["a.onnx", "b.onnx"]
    assert "file" not in printed(result(file="a.onnx")).split("paper")[0].split()


def test_why_a_trained_network_has_no_accuracy_is_said_once() -> None:
    data = result(why_no_miou="a.png is not a picture")
    data["rows"].append(data["rows"][0])
    assert printed(data).count("no mIoU: affnet, a.png is not a picture") == 1
