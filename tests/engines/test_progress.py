"""How far a build is, and how it is stopped."""

from __future__ import annotations

import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.engines.interruption import run_interruptibly
from rtseg.engines.progress import BuildProgress


def test_a_phase_within_a_step_counts_as_a_part_of_it() -> None:
    progress = BuildProgress()
    assert (progress.fraction(), progress.phase) == (0, "")
    progress.start("building", None, 2)
    progress.step("building", 0)
    assert progress.fraction() == 0.5
    progress.start("timing", "building", 4)
    progress.step("timing", 2)
    assert (progress.fraction(), progress.phase) == (0.5 + 0.75 / 2, "timing")
    progress.finish("timing")
    assert progress.phase == "building"
    assert progress.fraction() == 0.875  # never less than was said before


NAMES = st.sampled_from("abc")
EVENTS = st.one_of(
    st.tuples(st.just("start"), NAMES, st.none() | NAMES, st.integers(-1, 5)),
    st.tuples(st.just("step"), NAMES, st.integers(0, 9)),
    st.tuples(st.just("finish"), NAMES),
)


@given(st.lists(EVENTS, max_size=30))
def test_whatever_tensorrt_tells_the_fraction_never_falls_and_stays_in_range(events: list[tuple[object, ...]]) -> None:
    progress, before = BuildProgress(), 0.0
    for name, *arguments in events:
        getattr(progress, str(name))(*arguments)
        fraction = progress.fraction()
        assert before <= fraction <= 1
        before = fraction


def test_a_cancelled_build_is_told_so_at_its_next_step() -> None:
    progress = BuildProgress()
    progress.start("building", None, 2)
    assert progress.step("building", 0)
    progress.cancel()
    assert not progress.step("building", 1)


def test_work_in_a_thread_returns_and_raises_as_if_it_were_called() -> None:
    ticks: list[int] = []
    result = run_interruptibly(
        lambda: threading.current_thread() is threading.main_thread(), tick=lambda: ticks.append(1), interrupt=bool
    )
    assert result is False

    def fails() -> None:
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        run_interruptibly(fails, tick=lambda: None, interrupt=bool)


def test_ctrl_c_stops_the_work_at_its_next_step_and_waits_for_it() -> None:
    progress, ended = BuildProgress(), threading.Event()
    begun = threading.Event()

    def work() -> None:
        begun.set()
        while progress.step("building", 0):
            pass
        ended.set()

    def tick() -> None:
        if begun.wait(10):
            signal.raise_signal(signal.SIGINT)

    def interrupt() -> bool:
        progress.cancel()
        return True

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work, tick=tick, interrupt=interrupt)
    assert ended.is_set()


def test_work_that_cannot_be_stopped_is_left_behind() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(10)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work, tick=lambda: signal.raise_signal(signal.SIGINT), interrupt=lambda: False)
    assert not ended.is_set()
    release.set()
    assert ended.wait(10)
