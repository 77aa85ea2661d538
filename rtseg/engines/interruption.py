"""Make long calls interruptible in libraries that keep Ctrl-C from reaching Python."""

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
    """Run work in its own thread; return what it returns, or raise what it raises.

    Meanwhile the calling thread, in which Python delivers signals, calls tick repeatedly. On KeyboardInterrupt, or
    anything else that tick raises, interrupt asks the work to stop. If interrupt returns True, this function waits for
    the work, unless a second Ctrl-C comes. If it returns False, the work cannot be stopped: it is left running and ends
    with the process.
    """
    outcome: list[Result] = []
    raised: list[BaseException] = []
    # Not Thread.join with a timeout: if it is interrupted, CPython 3.11 takes the running thread for a finished one.
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
