"""Long work in a library that keeps Ctrl-C from Python, made interruptible."""

from __future__ import annotations

import threading
from typing import Callable, TypeVar

Result = TypeVar("Result")


def run_interruptibly(
    work: Callable[[], Result],
    *,
    tick: Callable[[], None],
    interrupt: Callable[[], bool],
    every_seconds: float = 0.2,
) -> Result:
    """Return what work returns, run in a thread of its own, or raise what it raises.

    Meanwhile the calling thread, in which Python delivers signals, calls tick again and again. On KeyboardInterrupt,
    or anything else that tick raises, interrupt asks the work to stop: where it returns True the work is waited for,
    unless a second Ctrl-C comes; where False it cannot be stopped and is left behind, to end with the process.
    """
    outcome: list[Result] = []
    raised: list[BaseException] = []
    # Not Thread.join with a timeout: after an interrupt in it CPython 3.11 takes the running thread for one that ended.
    ended = threading.Event()

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            raised.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while not ended.is_set():
            tick()
            ended.wait(every_seconds)
    except BaseException:
        if interrupt():
            ended.wait()
        raise
    if raised:
        raise raised[0]
    return outcome[0]
