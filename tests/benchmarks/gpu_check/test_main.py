"""`python -m benchmarks.gpu_check` as processes of their own; no GPU is let be seen, the CPU stands in and is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check.cases import CaseFolder

Done = subprocess.CompletedProcess[str]


def gpu_check(*arguments: object) -> Done:
    command = [sys.executable, "-m", "benchmarks.gpu_check", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
    )


def error_of(done: Done) -> str:
    assert done.returncode == 1 and done.stderr.startswith("rtseg: error: "), done
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    return done.stderr


@pytest.fixture(scope="module")
def on_the_cpu(folder: CaseFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """A whole run on the CPU, and its ledger."""
    ledger = tmp_path_factory.mktemp("ledgers") / "ledger.json"
    return gpu_check("run", folder.folder, "-o", ledger, "--minutes", "2", "--device", "cpu"), ledger


def test_a_run_without_a_gpu_says_in_one_line_what_is_missing_and_writes_nothing(
    folder: CaseFolder, tmp_path: Path
) -> None:
    message = error_of(gpu_check("run", folder.folder, "-o", tmp_path / "ledger.json"))
    assert "nothing here can build an engine; got Python 3." in message
    assert list(tmp_path.iterdir()) == []


def test_a_run_on_the_cpu_does_what_the_cpu_can_and_says_so(on_the_cpu: tuple[Done, Path]) -> None:
    done, path = on_the_cpu
    assert done.returncode == 0, done.stderr
    ledger = json.loads(path.read_text())
    statuses = {name.rpartition("/")[2]: entry["status"] for name, entry in ledger["entries"].items()}
    assert statuses == {
        **dict.fromkeys(("fp16", "labels", "int8", "fp32", "scores", "torch-compile"), "skipped"),
        "torch": "done",
    }
    facts = ledger["entries"]["affnet-small/64x96/torch"]["facts"]
    assert ledger["device"] == "cpu" and facts["device"].startswith("CPU")
    assert facts["agreement"]["eager fp32"]["share"] > 0.999
    assert "affnet-small/64x96/torch: eager fp32: " in done.stdout
    assert done.stdout.rstrip().endswith("0 met, 0 not met, 5 not seen")


def test_a_ledger_names_no_path_of_the_machine(on_the_cpu: tuple[Done, Path], folder: CaseFolder) -> None:
    text = on_the_cpu[1].read_text()
    for path in (sys.executable, folder.folder, on_the_cpu[1].parent):
        assert str(path) not in text


def test_a_second_run_starts_nothing_and_keeps_the_entries(on_the_cpu: tuple[Done, Path], folder: CaseFolder) -> None:
    _, path = on_the_cpu
    before = json.loads(path.read_text())["entries"]
    again = gpu_check("run", folder.folder, "-o", path, "--minutes", "2", "--device", "cpu")
    assert again.returncode == 0 and again.stderr == ""
    assert json.loads(path.read_text())["entries"] == before


def test_an_engine_task_without_a_gpu_ends_with_one_line(folder: CaseFolder, tmp_path: Path) -> None:
    done = gpu_check("task", "affnet-small/64x96/fp16", "--cases", folder.folder, "--scratch", tmp_path)
    error_of(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["run", "--minutes", "0"], ["run", "--minutes", "soon"], ["prepare", "--form", "9"], []]
)
def test_wrong_usage_is_told_with_exit_code_2(arguments: list[Any]) -> None:
    done = gpu_check(*arguments)
    assert done.returncode == 2 and done.stderr.startswith("usage: python -m benchmarks.gpu_check")
