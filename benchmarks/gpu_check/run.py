"""The run on a GPU host: task after task in processes of their own, until all is done or the time is up."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable

from benchmarks.gpu_check.cases import Case, CaseFolder
from benchmarks.gpu_check.child import last_line, run_child
from benchmarks.gpu_check.expectations import Expectation, expectations
from benchmarks.gpu_check.interpreters import Interpreter, chosen, to_json
from benchmarks.gpu_check.ledger import DONE, FAILED, SKIPPED, UNFINISHED, Entry, Ledger, code_sha256
from benchmarks.gpu_check.summary import line_of
from benchmarks.gpu_check.tasks import Task, tasks_of
from rtseg import __version__
from rtseg.artifacts.files import require_writable
from rtseg.benchmarking.environment import environment
from rtseg.errors import EngineError

TASK_SECONDS = 300.0
"""The most a task may take: a build that hangs costs one entry and not the budget."""

LEAST_SECONDS = 10.0
"""With less time left no task is begun."""

ERROR_PREFIX = "rtseg: error: "

Notify = Callable[[str], None]
Commands = Callable[[Task, Interpreter, Path], Sequence[str]]
"""How a task is started under an interpreter, to write what it finds into files of that folder."""

RESULT = "result.json"


@dataclass(frozen=True)
class Outcome:
    """What a run came to: all entries by name, what was expected, and how many tasks wait for another run."""

    entries: Mapping[str, Entry]
    expectations: Sequence[Expectation]
    waiting: int

    @property
    def exit_code(self) -> int:
        """0: all done and met. 1: something failed, or an expectation was not met. 3: the time was up before."""
        failed = any(entry.status == FAILED for entry in self.entries.values())
        if failed or any(one.met is False for one in self.expectations):
            return 1
        return 3 if self.waiting else 0


def require_builder(interpreters: Sequence[Interpreter]) -> Interpreter:
    """Return the interpreter that builds engines. Raises EngineError, saying what is missing, where none can."""
    builder = chosen(interpreters, "tensorrt")
    if builder is None:
        told = "; ".join(f"Python {one.found.python}: {one.found.why_no_tensorrt}" for one in interpreters)
        raise EngineError(
            "nothing here can build an engine", got=told, expected="a GPU, TensorRT and the CUDA bindings"
        )
    return builder


class Check:
    """One run over the cases. Entries of the ledger that are done, and of the same things, stay as they are."""

    def __init__(
        self,
        folder: CaseFolder,
        ledger: Ledger,
        interpreters: Sequence[Interpreter],
        *,
        device: str = "cuda",
        commands: Commands | None = None,
        notify: Notify = lambda text: None,
    ) -> None:
        """Read the cases. Raises ArtifactError where there are none."""
        self._cases: Sequence[Case] = folder.cases()
        self._ledger = ledger
        self._interpreters = interpreters
        self._device = device
        self._commands = commands or _Commands(folder, device)
        self._notify = notify
        self._code = code_sha256()
        self._logs = ledger.path.with_name(f"{ledger.path.stem}.logs")
        self._tasks = tasks_of(self._cases)
        self._facts = {
            "command": "python -m benchmarks.gpu_check run",
            "rtseg": __version__,
            "device": device,
            "environment": environment(),
            "interpreters": to_json(interpreters),
        }

    def run(self, *, seconds: float, task_seconds: float = TASK_SECONDS) -> Outcome:
        """Do what is not done, for that long at most, and return what it came to. Raises WriteError."""
        deadline = time.monotonic() + seconds
        require_writable(self._ledger.path)
        pending = self._pending()
        self._write()
        done = 0
        for done, (task, interpreter) in enumerate(pending, 1):
            left = deadline - time.monotonic()
            if left < LEAST_SECONDS:
                done -= 1
                break
            self._notify(f"[{done}/{len(pending)}] {task.name} ...")
            entry = self._entry_of(task, interpreter, left, task_seconds)
            self._ledger.entries[task.name] = entry
            self._write()
            self._notify(f"[{done}/{len(pending)}] {line_of(task.name, entry)}")
        unfinished = sum(entry.status == UNFINISHED for entry in self._ledger.entries.values())
        waiting = len(pending) - done + unfinished
        return Outcome(self._ledger.entries, expectations(self._cases, self._ledger.entries), waiting)

    def _pending(self) -> list[tuple[Task, Interpreter]]:
        """Return what is to be done, what failed before after what was never tried; drop entries of other things."""
        waiting = []
        entries = self._ledger.entries
        for task in self._tasks:
            interpreter = self._interpreter_for(task)
            entry = entries.get(task.name)
            if entry is not None and not entry.is_of(self._identity(task, interpreter)):
                del entries[task.name]
                entry = None
            if entry is not None and entry.status == DONE:
                continue
            if interpreter is None:
                entries[task.name] = Entry(SKIPPED, self._identity(task, None), 0, self._why_skipped(task))
                continue
            waiting.append((0 if entry is None else entry.attempts, task, interpreter))
        return [(task, interpreter) for _, task, interpreter in sorted(waiting, key=lambda one: one[0])]

    def _interpreter_for(self, task: Task) -> Interpreter | None:
        return chosen(self._interpreters, task.needs, self._device) if task.runs_on(self._device) else None

    def _identity(self, task: Task, interpreter: Interpreter | None) -> dict[str, Any]:
        """Return what a result of the task is a result of, as far as it is known without an interpreter."""
        known = {"case": task.case.digest(), "code": self._code, "device": self._device}
        if interpreter is None:
            return known
        found = interpreter.found
        if task.needs == "tensorrt":
            return {**known, "gpu": found.gpu, "tensorrt": found.tensorrt}
        return {**known, "gpu": found.torch_gpu, "torch": found.torch, "tensorrt": found.tensorrt}

    def _why_skipped(self, task: Task) -> str:
        if self._device == "cpu":
            return "a GPU is needed, and the CPU was asked for"
        reasons = [one.found.why_no_torch for one in self._interpreters]
        return f"no interpreter here has torch with a GPU: {'; '.join(reasons)}"

    def _entry_of(self, task: Task, interpreter: Interpreter, left: float, task_seconds: float) -> Entry:
        before = self._ledger.entries.get(task.name)
        log = self._logs / f"{task.name.replace('/', '-')}.log"
        entry = Entry(FAILED, self._identity(task, interpreter), 1 + (before.attempts if before else 0))
        with tempfile.TemporaryDirectory() as scratch:
            arguments = self._commands(task, interpreter, Path(scratch))
            code = run_child(arguments, interpreter.variables(), log, seconds=min(left, task_seconds))
            entry = replace(entry, facts=_result(Path(scratch)))
        if code == 0:
            return replace(entry, status=DONE)
        if code is None and left <= task_seconds:
            return replace(entry, status=UNFINISHED, problem="the time was up")
        if code is None:
            return replace(entry, problem=f"it took longer than {task_seconds:g} s")
        said = last_line(log)
        said = said[len(ERROR_PREFIX) :] if said.startswith(ERROR_PREFIX) else said
        return replace(entry, problem=f"{_signal_name(-code)}: {said}" if code < 0 else said)

    def _write(self) -> None:
        expected = [one.to_json() for one in expectations(self._cases, self._ledger.entries)]
        self._ledger.write({**self._facts, "expectations": expected}, [task.name for task in self._tasks])


class _Commands:
    """This package's own command for a task."""

    def __init__(self, folder: CaseFolder, device: str) -> None:
        self._folder = folder.folder.resolve()
        self._device = device

    def __call__(self, task: Task, interpreter: Interpreter, scratch: Path) -> Sequence[str]:
        beside = ["--beside"] if interpreter.found.has("tensorrt", self._device) else []
        places = ["--cases", str(self._folder), "--scratch", str(scratch), "--device", self._device]
        return interpreter.arguments("task", task.name, *places, *beside)


def _result(scratch: Path) -> dict[str, Any]:
    """Return what a task had found out when it ended."""
    try:
        found = json.loads((scratch / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _signal_name(number: int) -> str:
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"
