"""Real processes that end well, badly, late or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu_check.child import last_line, run_child

WAITS = "import time; print('waiting', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
HAS_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def run(program: str, log: Path, *, seconds: float = 60.0) -> int | None:
    return run_child([sys.executable, "-c", program], os.environ, log, seconds=seconds)


def gone(process: int) -> bool:
    """Whether no such process runs; one whose parent has not asked for its exit code counts as gone."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "task.log"


def test_the_exit_code_and_all_that_was_said_are_kept(log: Path) -> None:
    assert run("import sys; print('one'); print('two\\n', file=sys.stderr); sys.exit(7)", log) == 7
    assert last_line(log) == "two"
    assert "one" in log.read_text()


def test_a_crash_is_told_by_its_signal(log: Path) -> None:
    assert run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", log) == -11
    assert last_line(log) == "it said nothing"


def test_a_process_is_ended_when_its_time_is_up(log: Path) -> None:
    assert run(WAITS, log, seconds=1.0) is None
    assert last_line(log) == "waiting"


def test_a_process_that_does_not_listen_is_killed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu_check.child.GRACE_SECONDS", 0.1)
    assert run(DEAF, log, seconds=1.0) is None
    assert last_line(log) == "deaf"


def test_what_a_process_has_started_is_ended_with_it(log: Path) -> None:
    assert run(HAS_A_CHILD, log, seconds=1.5) is None
    assert gone(int(last_line(log)))


def test_a_task_ends_when_the_run_that_started_it_is_killed(tmp_path: Path) -> None:
    task = """
import os, time
from benchmarks.gpu_check.child import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
time.sleep(600)
"""
    log = tmp_path / "task.log"
    parent = f"""
import os, sys
from pathlib import Path
from benchmarks.gpu_check.child import run_child
run_child([sys.executable, "-c", {task!r}], os.environ, Path({str(log)!r}), seconds=600)
"""
    with subprocess.Popen([sys.executable, "-c", parent]) as running:
        while not log.exists() or not log.read_text().endswith("\n"):
            assert running.poll() is None
            time.sleep(0.05)
        running.kill()
    assert gone(int(last_line(log)))
