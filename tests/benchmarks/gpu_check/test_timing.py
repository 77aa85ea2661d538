"""The arithmetic of times, on steps that write down what is asked of them."""

from __future__ import annotations

import pytest

from benchmarks.gpu_check.timing import GpuTimed, InFlight, frames_per_second, host_overhead_us
from rtseg.benchmarking.sampling import STABLE, Samples, SamplingRule


class WrittenDown:
    """A step whose launches and waits go into a list that several share."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log
        self.under_way = False

    def launch(self) -> None:
        assert not self.under_way, f"{self.name} was launched while it was under way"
        self.under_way = True
        self.log.append(f"launch {self.name}")

    def wait(self) -> None:
        self.under_way = False
        self.log.append(f"wait {self.name}")


def of(*samples_ns: int) -> Samples:
    return Samples(samples_ns, 0, STABLE, "")


def test_the_overhead_is_what_neither_the_gpu_nor_the_launch_explains() -> None:
    host, gpu, launch = of(1_000_000, 1_060_000, 1_200_000), of(1_000_000, 990_000, 2_000_000), of(8_000, 9_000, 99_000)
    assert host_overhead_us(host, gpu, launch) == pytest.approx(60 - 9)


def test_work_that_begins_before_the_launch_returns_makes_an_overhead_below_zero() -> None:
    assert host_overhead_us(of(100_000), of(95_000), of(10_000)) == pytest.approx(-5)


class Marks:
    """A driver, and a step of it, that write down their turns. The two events are named in the order they are made."""

    stream = graph = None

    def __init__(self) -> None:
        self.log: list[str] = []
        self._names = iter(("start", "end"))

    def create_event(self, *, timing: bool) -> str:
        assert timing
        return next(self._names)

    def record(self, event: str, stream: None) -> None:
        self.log.append(event)

    def elapsed_ms(self, start: str, end: str) -> float:
        assert self.log[-1] == "wait" and (start, end) == ("start", "end")
        return 0.25

    def launch(self) -> None:
        self.log.append("launch")

    def wait(self) -> None:
        self.log.append("wait")


def test_the_gpu_is_at_work_when_the_run_that_is_timed_is_launched() -> None:
    marks = Marks()
    timed = GpuTimed(marks, marks)  # type: ignore[arg-type]
    timed()
    assert marks.log == ["launch", "start", "launch", "end", "wait"]
    assert timed.samples_ns == [250_000]


def test_several_frames_are_under_way_and_the_oldest_is_waited_for() -> None:
    log: list[str] = []
    flight = InFlight([WrittenDown(name, log) for name in "ab"])  # type: ignore[arg-type]
    flight()
    flight()
    flight()
    flight.finish()
    turns = [
        "launch a",
        "launch b",
        "wait a",
        "launch a",
        "wait b",
        "launch b",
        "wait a",
        "launch a",
        "wait a",
        "wait b",
    ]
    assert log == turns


def test_throughput_is_frames_over_seconds_and_leaves_nothing_under_way() -> None:
    log: list[str] = []
    steps = [WrittenDown(name, log) for name in "abc"]
    rule = SamplingRule(min_seconds=0, max_seconds=0, min_samples=7, max_samples=7, warmup_seconds=0)
    assert frames_per_second(steps, rule) > 0  # type: ignore[arg-type]
    assert not any(step.under_way for step in steps)
    assert sum(entry.startswith("launch") for entry in log) == 3 + 7
