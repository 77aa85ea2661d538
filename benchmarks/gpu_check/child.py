"""A process that is ended in time, whatever it does."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

GRACE_SECONDS = 2.0
"""What a process has to end by itself before it is killed."""


def run_child(arguments: Sequence[str], variables: Mapping[str, str], log: Path, *, seconds: float) -> int | None:
    """Return the exit code of a process whose output goes to the file log; None where it had to be ended.

    It and all that it started, on Windows it alone, are ended after that many seconds, and when this process is
    interrupted. Raises OSError where it does not start.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        child = subprocess.Popen(
            arguments,
            env=dict(variables),
            stdin=subprocess.PIPE,  # stays open as long as this process lives: see end_with_parent
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(child)


def end_with_parent() -> None:
    """End this process when the run that started it has gone: nobody would read what it finds, and it holds the GPU.

    Nothing happens where no run did: standard input is then no pipe.
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return

    def watch() -> NoReturn:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def last_line(log: Path) -> str:
    """Return the last line that a process said: its error, or the end of its traceback."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = [line for line in lines if line]
    return said[-1] if said else "it said nothing"


def _end(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":  # which has no groups of processes to end
        child.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdin is not None:
        child.stdin.close()
