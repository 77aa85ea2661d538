"""The run over real processes: small programs stand where the tasks are, and say what they were started as."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check.cases import Case, CaseFolder
from benchmarks.gpu_check.interpreters import Findings, Interpreter
from benchmarks.gpu_check.ledger import DONE, FAILED, SKIPPED, UNFINISHED, Ledger
from benchmarks.gpu_check.run import RESULT, Check, Outcome, require_builder
from benchmarks.gpu_check.tasks import Task
from rtseg.errors import EngineError

NO_TORCH = Findings("3.9.2", "8.5.3.1", "", "NVIDIA H200 (sm_90)", None, "torch cannot be imported", None)
TORCH_TOO = replace(NO_TORCH, torch="2.11.0", why_no_torch="", torch_gpu="NVIDIA H200")

ENDS_WELL = "write({'verdict': 'fine'})"
ENDS_BADLY = "write({'stage': 1}); print('a line'); sys.exit('rtseg: error: TensorRT refuses the graph')"
CRASHES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
HANGS = "write({'stage': 1}); import time; time.sleep(600)"


class Programs:
    """What each kind of task runs; started is the log of all."""

    def __init__(self, folder: Path, **by_kind: str) -> None:
        self.log = folder / "started"
        self.by_kind = by_kind

    def __call__(self, task: Task, interpreter: Interpreter, scratch: Path) -> Sequence[str]:
        program = f"""
import json, sys
def write(facts):
    with open({str(scratch / RESULT)!r}, "w") as stream: json.dump(facts, stream)
with open({str(self.log)!r}, "a") as log: log.write({task.name + chr(10)!r})
{self.by_kind.get(task.kind.replace("-", "_"), ENDS_WELL)}
"""
        return [sys.executable, "-S", "-c", program]

    @property
    def started(self) -> list[str]:
        """The names of the tasks that were started since the last look."""
        names = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return names


@pytest.fixture
def cases(case: Case, tmp_path: Path) -> CaseFolder:
    """A folder that lists one case; its files are not needed here."""
    folder = CaseFolder(tmp_path / "cases")
    folder.put(b"")
    folder.write_cases([replace(case, network="net")], {})
    return folder


def run(
    cases: CaseFolder, programs: Programs, found: Findings = NO_TORCH, *, seconds: float = 60.0, **options: Any
) -> Outcome:
    interpreters = [Interpreter(sys.executable, found)]
    ledger = Ledger(cases.folder.parent / "ledger.json")
    return Check(cases, ledger, interpreters, commands=programs).run(seconds=seconds, **options)


def statuses(outcome: Outcome) -> dict[str, str]:
    return {name.rpartition("/")[2]: entry.status for name, entry in outcome.entries.items()}


def test_every_task_is_started_once_in_order_and_what_it_found_is_in_the_ledger(cases: CaseFolder) -> None:
    programs = Programs(cases.folder)
    outcome = run(cases, programs, TORCH_TOO)
    kinds = ["fp16", "labels", "torch", "int8", "fp32", "scores", "torch-compile"]
    assert programs.started == [f"net/64x96/{kind}" for kind in kinds]
    assert statuses(outcome) == dict.fromkeys(kinds, DONE)
    assert outcome.exit_code == 0 and outcome.waiting == 0
    written = json.loads((cases.folder.parent / "ledger.json").read_text())
    assert {"command", "environment", "interpreters", "expectations"} <= set(written)
    assert written["entries"]["net/64x96/fp16"]["facts"] == {"verdict": "fine"}
    assert written["entries"]["net/64x96/fp16"]["identity"]["gpu"] == "NVIDIA H200 (sm_90)"


def test_a_second_run_does_nothing_again(cases: CaseFolder) -> None:
    programs = Programs(cases.folder)
    run(cases, programs)
    assert len(programs.started) == 5
    assert run(cases, programs).exit_code == 0
    assert programs.started == []


def test_tasks_that_nothing_here_can_do_are_skipped_with_the_reason_and_fail_nothing(cases: CaseFolder) -> None:
    outcome = run(cases, Programs(cases.folder))
    assert [kind for kind, status in statuses(outcome).items() if status == SKIPPED] == ["torch", "torch-compile"]
    assert "torch cannot be imported" in outcome.entries["net/64x96/torch"].problem
    assert outcome.exit_code == 0


def test_what_was_skipped_is_done_as_soon_as_an_interpreter_can(cases: CaseFolder) -> None:
    programs = Programs(cases.folder)
    run(cases, programs)
    assert programs.started
    run(cases, programs, TORCH_TOO)
    assert programs.started == ["net/64x96/torch", "net/64x96/torch-compile"]
    assert statuses(run(cases, programs))["torch"] == DONE, "what torch found stays when torch is away"


def test_a_crash_and_an_error_cost_one_entry_each_and_the_rest_is_done(cases: CaseFolder) -> None:
    outcome = run(cases, Programs(cases.folder, fp16=CRASHES, labels=ENDS_BADLY))
    assert statuses(outcome) == {
        "fp16": FAILED,
        "labels": FAILED,
        "torch": SKIPPED,
        "int8": DONE,
        "fp32": DONE,
        "scores": DONE,
        "torch-compile": SKIPPED,
    }
    assert outcome.entries["net/64x96/fp16"].problem == "ended by SIGSEGV: it said nothing"
    failed = outcome.entries["net/64x96/labels"]
    assert failed.problem == "TensorRT refuses the graph"
    assert failed.facts == {"stage": 1}
    assert outcome.exit_code == 1
    assert "a line" in (cases.folder.parent / "ledger.logs" / "net-64x96-labels.log").read_text()


def test_what_failed_is_tried_again_after_what_was_never_tried(cases: CaseFolder) -> None:
    programs = Programs(cases.folder, fp16=ENDS_BADLY)
    run(cases, programs)
    assert programs.started[0] == "net/64x96/fp16"
    programs.by_kind = {}
    outcome = run(cases, programs, TORCH_TOO)
    assert programs.started == ["net/64x96/torch", "net/64x96/torch-compile", "net/64x96/fp16"]
    assert outcome.entries["net/64x96/fp16"].attempts == 2 and outcome.exit_code == 0


def test_a_task_that_outlasts_the_time_is_ended_and_the_next_run_goes_on(
    cases: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.gpu_check.run.LEAST_SECONDS", 0.5)
    programs = Programs(cases.folder, fp16=HANGS)
    outcome = run(cases, programs, seconds=2.0)
    ended = outcome.entries["net/64x96/fp16"]
    assert (ended.status, ended.facts) == (UNFINISHED, {"stage": 1})
    assert outcome.waiting == 5 and outcome.exit_code == 3
    assert programs.started == ["net/64x96/fp16"]
    programs.by_kind = {}
    assert run(cases, programs).exit_code == 0
    assert programs.started == [f"net/64x96/{kind}" for kind in ("labels", "int8", "fp32", "scores", "fp16")]


def test_no_task_is_begun_for_which_too_little_time_is_left(cases: CaseFolder) -> None:
    programs = Programs(cases.folder)
    outcome = run(cases, programs, seconds=5.0)
    assert programs.started == []
    assert outcome.waiting == 5 and outcome.exit_code == 3


def test_a_task_that_hangs_costs_its_own_time_and_not_the_others(cases: CaseFolder) -> None:
    outcome = run(cases, Programs(cases.folder, fp16=HANGS), task_seconds=1.0)
    assert outcome.entries["net/64x96/fp16"].problem == "it took longer than 1 s"
    assert statuses(outcome)["fp32"] == DONE
    assert outcome.exit_code == 1


@pytest.mark.parametrize(
    "changed", [{"gpu": "NVIDIA L4 (sm_89)"}, {"tensorrt": "10.3.0"}], ids=["another GPU", "another TensorRT"]
)
def test_results_of_another_machine_are_done_again(cases: CaseFolder, changed: dict[str, str]) -> None:
    programs = Programs(cases.folder)
    run(cases, programs)
    assert programs.started
    run(cases, programs, replace(NO_TORCH, **changed))
    assert len(programs.started) == 5


def test_results_of_other_cases_or_other_code_are_done_again(
    cases: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs(cases.folder)
    run(cases, programs)
    assert programs.started
    cases.write_cases([replace(cases.cases()[0], weights="0" * 64)], {})
    run(cases, programs)
    assert len(programs.started) == 5
    monkeypatch.setattr("benchmarks.gpu_check.run.code_sha256", lambda: "another")
    outcome = run(cases, programs)
    assert len(programs.started) == 5
    assert outcome.entries["net/64x96/fp16"].attempts == 1


def test_what_is_missing_for_building_is_told_of_every_interpreter() -> None:
    without = [
        Interpreter("a", Findings("3.9.2", None, "no NVIDIA driver", None, None, "", None)),
        Interpreter("b", Findings("3.12.1", None, "no package tensorrt", None, "2.11.0", "", "NVIDIA H200")),
    ]
    with pytest.raises(EngineError, match=r"Python 3\.9\.2: no NVIDIA driver; Python 3\.12\.1: no package tensorrt"):
        require_builder(without)
    builder = Interpreter("c", NO_TORCH)
    assert require_builder([*without, builder]) is builder
