"""Work that is interrupted is waited for where it can be stopped."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from rtseg.engines.interruption import run_interruptibly


def test_after_an_interrupt_the_work_has_ended_before_the_caller_goes_on() -> None:
    stop, done = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(10)
        time.sleep(0.5)  # as a compiler takes to come to its next step
        done.set()

    def interrupt() -> bool:
        stop.set()
        return True

    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()  # while the caller waits, not in tick
    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work, tick=lambda: None, interrupt=interrupt, every_seconds=5)
    assert done.is_set()


def test_work_that_cannot_be_stopped_is_left_behind() -> None:
    release = threading.Event()

    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(lambda: release.wait(10), tick=tick, interrupt=lambda: False)
    release.set()


def test_what_the_work_returns_and_raises_comes_back() -> None:
    assert run_interruptibly(lambda: 3, tick=lambda: None, interrupt=lambda: True) == 3
    with pytest.raises(ZeroDivisionError):
        run_interruptibly(lambda: 1 / 0, tick=lambda: None, interrupt=lambda: True)
