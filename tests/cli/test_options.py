"""--runner of bench and run, from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rtseg.images.label_png import read_label_png
from rtseg.runners.registry import runner_names

Cli = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


@needs_openvino
def test_bench_times_a_file_behind_several_runners_in_turns(cli: Cli, exported: Path) -> None:
    code, out, _ = cli(
        "bench", exported, "--runner", "onnxruntime", "--runner", "openvino", "--seconds", 0.1, "--threads", 1, "--json"
    )
    result = json.loads(out)
    assert code == 0
    assert [(row["boundary"], row["backend"]) for row in result["rows"]] == [
        ("engine", "onnxruntime"),
        ("engine", "openvino"),
        ("frame", "onnxruntime"),
        ("frame", "openvino"),
    ]
    assert result["rule"]["interleaved"] is True
    assert [row["vs_first"] == 1 for row in result["rows"]] == [True, False, True, False]
    assert "openvino" in result["environment"]["tools"]


@needs_openvino
def test_bench_prints_the_runners_and_their_ratio(cli: Cli, affnet_file: Path) -> None:
    _, out, err = cli("bench", affnet_file, "--runner", "onnxruntime", "--runner", "openvino", "--seconds", 0.1)
    rows = [line.split() for line in out.splitlines() if line.lstrip().startswith("affnet ")]
    assert [row[2:6] for row in rows] == [
        [boundary, "CPU", runner, "fp32"] for boundary in ("engine", "frame") for runner in ("onnxruntime", "openvino")
    ]
    assert "vs first" in out
    assert "timing, up to" in err


@needs_openvino
def test_bench_runs_a_papers_table_with_the_named_runner(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    size = ("--resolution", "64x64", "--classes", "streets", "--seconds", 0.1)
    _, out, _ = cli("bench", "--table", "haff-abstract", *size, "--runner", "openvino", "--json")
    assert [row["backend"] for row in json.loads(out)["rows"]] == ["openvino"]


@pytest.mark.slow
@needs_openvino
@pytest.mark.usefixtures("few_rendered_pictures")
def test_bench_runs_a_papers_table_with_several_runners_and_precisions_in_turns(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    size = ("--resolution", "64x64", "--classes", "streets", "--seconds", 0.1)
    runners = ("--runner", "openvino", "--runner", "onnxruntime", "--precision", "int8")
    _, out, _ = cli("bench", "--table", "haff-abstract", *size, *runners)
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines if line[1:2] == ["int8"]] == ["openvino", "onnxruntime"]


@needs_openvino
def test_run_gives_the_same_labels_with_each_runner(cli: Cli, exported: Path, picture: Path, tmp_path: Path) -> None:
    maps = []
    for runner in ("onnxruntime", "openvino"):
        folder = tmp_path / runner
        code, out, _ = cli("run", exported, picture, "-o", folder, "--runner", runner, "--json")
        assert (code, json.loads(out)["backend"]) == (0, runner)
        maps.append(read_label_png(folder / "picture_labels.png"))
    assert np.mean(maps[0] == maps[1]) > 0.999


@pytest.mark.parametrize("command", [["bench", "F.onnx"], ["run", "F.onnx", "picture.png", "-o", "out"]])
def test_an_unknown_runner_is_wrong_usage_that_lists_the_known(misused: Refused, command: list[str]) -> None:
    assert ", ".join(map(repr, runner_names())) in misused(*command, "--runner", "tensorflow")


@pytest.mark.parametrize("command", ["bench", "run"])
def test_a_runner_whose_package_is_missing_names_the_extra(
    refused: Refused, exported: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    arguments = [exported] if command == "bench" else [exported, picture, "-o", tmp_path / "out"]
    assert refused(command, *arguments, "--runner", "openvino").endswith("Try: run pip install 'rtseg[openvino]'")
    assert not (tmp_path / "out").exists()
