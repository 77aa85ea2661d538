"""Call a step until its median is known: warm up, sample, and judge whether to trust the result.

A step is anything that runs once per call and returns when its work is complete. Apart from the step, a sample holds
two clock readings and one call; timing a step that does nothing shows how much that is.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from rtseg.benchmarking.statistics import LatencySummary, summarize
from rtseg.errors import SpecError

STABLE = "STABLE"
UNSTABLE = "UNSTABLE"

WARMUP_WINDOW_CALLS = 3
"""The fewest calls whose median ignores one outlier."""

WARMUP_WINDOW_MAX_CALLS = 10_000
"""A window with this many calls is complete early: the limit is for steps that take almost no time."""

NS_PER_S = 1_000_000_000

Clock = Callable[[], int]
TimedStep = Callable[[], object]


@dataclass(frozen=True)
class SamplingRule:
    """When warm-up ends, when sampling ends, and what makes a result STABLE.

    Sampling ends once min_seconds and min_samples are reached and the noise criterion holds, or else at max_seconds or
    max_samples, but never before min_samples, however long one call takes. A step of a few microseconds reaches
    max_samples before min_seconds. Seconds are wall-clock time for each step: three interleaved steps together have
    three times as many.

    Interleaved steps take turns of turn_seconds, or of one call if that takes longer. A turn is short compared with the
    seconds in which a machine's speed drifts, so all steps share the drift. It is long compared with the cost of
    following another step, such as cold caches and sleeping threads, which is no part of a network's latency.

    The noise criterion: the confidence interval of the median is no wider than +-median_tolerance, and the medians of
    the first and the second half of the samples agree within drift_tolerance. It bounds the error of the reported
    number, and more samples can meet it. The coefficient of variation would do neither: it is a property of the machine
    that does not shrink with more samples, and one hiccup of the operating system can spoil it. It is reported but not
    used. The halves are compared because the interval presumes independent samples, which a slowly throttling device
    does not give. The criterion is tested at growing counts only: an interval tested after every sample would sooner or
    later be narrow by chance.

    Warm-up runs in windows of at least warmup_window_seconds and 3 calls, until the medians of two consecutive windows
    agree within drift_tolerance, for at most warmup_seconds; 0 means no warm-up. If warm-up does not settle, the reason
    says so; this alone does not make a result UNSTABLE.
    """

    min_seconds: float = 1.0
    max_seconds: float = 10.0
    min_samples: int = 6
    max_samples: int = 100_000
    median_tolerance: float = 0.01
    drift_tolerance: float = 0.05
    warmup_seconds: float = 3.0
    warmup_window_seconds: float = 0.1
    turn_seconds: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise SpecError(
                "the seconds of a sampling rule are out of order",
                got=f"min_seconds {self.min_seconds}, max_seconds {self.max_seconds}",
                expected="0 <= min_seconds <= max_seconds",
            )
        if not 1 <= self.min_samples <= self.max_samples:
            raise SpecError(
                "the counts of a sampling rule are out of order",
                got=f"min_samples {self.min_samples}, max_samples {self.max_samples}",
                expected="1 <= min_samples <= max_samples",
            )
        for name in ("median_tolerance", "drift_tolerance"):
            if not getattr(self, name) > 0:
                raise SpecError(f"{name} must be positive", got=getattr(self, name), expected="such as 0.01 for 1 %")
        for name in ("warmup_seconds", "warmup_window_seconds", "turn_seconds"):
            if not getattr(self, name) >= 0:
                raise SpecError(f"{name} must not be negative", got=getattr(self, name))

    @classmethod
    def within(cls, seconds: float) -> SamplingRule:
        """Return the rule that spends at most that many seconds on a step: a quarter to warm up, the rest to sample.

        A step so slow that 6 samples take longer is still sampled 6 times.
        """
        sampling = 0.75 * seconds
        return cls(min_seconds=min(1.0, sampling), max_seconds=sampling, warmup_seconds=min(3.0, 0.25 * seconds))


@dataclass(frozen=True)
class Samples:
    """Every latency of one step, in the order measured, and whether the rule was met.

    reason explains the status. warmup_count calls came before and are not in samples_ns.
    """

    samples_ns: tuple[int, ...]
    warmup_count: int
    status: str
    reason: str

    @property
    def summary(self) -> LatencySummary:
        """The statistics of the samples."""
        return summarize(self.samples_ns)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, strings and numbers, including the raw samples."""
        return {
            "status": self.status,
            "reason": self.reason,
            "warmup_count": self.warmup_count,
            "samples_ns": list(self.samples_ns),
        }


def measure(step: TimedStep, rule: SamplingRule, *, clock: Clock = time.perf_counter_ns) -> Samples:
    """Return the latencies of step, measured by the rule. Exceptions of the step pass through.

    The garbage collector is paused during the measurement and restored afterwards.

    >>> measure(lambda: sum(range(1000)), SamplingRule(min_seconds=0, max_samples=20)).samples_ns[0] >= 0
    True
    """
    return measure_interleaved({"": step}, rule, clock=clock)[""]


def measure_interleaved(
    steps: Mapping[str, TimedStep], rule: SamplingRule, *, clock: Clock = time.perf_counter_ns
) -> dict[str, Samples]:
    """Return the latencies of all steps, measured in turns so that all share any disturbance.

    Each round gives every step one turn and begins one step later than the round before, so no step always follows the
    same other one. Sampling continues until the rule holds for every step, or until the limits for all together are
    reached; warm-up takes turns too. The steps get the same time, not the same number of samples, except steps whose
    single calls outlast a turn. Raises SpecError if there is no step; exceptions of a step pass through.
    """
    if not steps:
        raise SpecError("no steps to measure", got=0, expected="at least 1")
    names, calls = list(steps), list(steps.values())
    with _collector_paused():
        counts, settled = _warm_up(calls, rule, clock)
        columns = _sample(calls, rule, clock)
    return {name: _judged(column, rule, count, settled) for name, column, count in zip(names, columns, counts)}


def judged(samples_ns: Sequence[int], rule: SamplingRule) -> Samples:
    """Return latencies from another clock, after a warm-up of its own, judged by the rule's noise criterion."""
    return _judged(samples_ns, rule, 0, True)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _warm_up(steps: Sequence[TimedStep], rule: SamplingRule, clock: Clock) -> tuple[list[int], bool]:
    """Return how many calls each step got, and whether all of them settled."""
    bound_ns = rule.warmup_seconds * NS_PER_S * len(steps)
    window_ns = rule.warmup_window_seconds * NS_PER_S * len(steps)
    before: list[float] | None = None
    window: list[list[int]] = [[] for _ in steps]
    counts = [0] * len(steps)
    rounds = 0
    started = window_started = now = clock()
    while now - started < bound_ns:
        _run_round(steps, window, rounds, WARMUP_WINDOW_MAX_CALLS, rule, clock)
        rounds += 1
        now = clock()
        calls = min(map(len, window))
        if calls >= WARMUP_WINDOW_MAX_CALLS or (calls >= WARMUP_WINDOW_CALLS and now - window_started >= window_ns):
            medians = [float(np.median(column)) for column in window]
            counts = _longer(counts, window)
            if before is not None and all(_agree(*pair, rule.drift_tolerance) for pair in zip(before, medians)):
                return counts, True
            before, window, window_started = medians, [[] for _ in steps], now
    return _longer(counts, window), False


def _longer(counts: Sequence[int], columns: Sequence[Sequence[int]]) -> list[int]:
    return [count + len(column) for count, column in zip(counts, columns)]


def _sample(steps: Sequence[TimedStep], rule: SamplingRule, clock: Clock) -> list[list[int]]:
    """Return one list of latencies per step."""
    columns: list[list[int]] = [[] for _ in steps]
    rounds, next_look = 0, rule.min_samples
    started = clock()
    while True:
        _run_round(steps, columns, rounds, rule.max_samples, rule, clock)
        rounds += 1
        fewest = min(map(len, columns))
        seconds_per_step = (clock() - started) / NS_PER_S / len(steps)
        if fewest < rule.min_samples:
            continue
        if fewest >= rule.max_samples or seconds_per_step >= rule.max_seconds:
            return columns
        if fewest >= next_look and seconds_per_step >= rule.min_seconds:
            if all(_doubt(column, rule) is None for column in columns):
                return columns
            next_look = fewest + 1 + fewest // 10


def _run_round(
    steps: Sequence[TimedStep],
    columns: list[list[int]],
    rounds: int,
    most: int,
    rule: SamplingRule,
    clock: Clock,
) -> None:
    """Give each step a turn; a single step takes turns of one call, so that the rule is tested after each call."""
    turn_ns = rule.turn_seconds * NS_PER_S if len(steps) > 1 else 0
    for turn in range(len(steps)):
        index = (rounds + turn) % len(steps)
        step, column = steps[index], columns[index]
        used_ns = 0
        while len(column) < most:
            started = clock()
            step()
            ended = clock()
            column.append(ended - started)
            used_ns += ended - started
            if used_ns >= turn_ns:
                break


def _judged(samples_ns: Sequence[int], rule: SamplingRule, warmup_count: int, settled: bool) -> Samples:
    doubt = _doubt(samples_ns, rule)
    reason = doubt or f"the median is known within +-{summarize(samples_ns).median_half_width:.2%} and does not drift"
    if warmup_count and not settled:
        reason += f"; the warm-up ended unsettled, after {warmup_count} calls"
    return Samples(tuple(samples_ns), warmup_count, STABLE if doubt is None else UNSTABLE, reason)


def _doubt(samples_ns: Sequence[int], rule: SamplingRule) -> str | None:
    """Return how the samples fail the noise criterion; None if they meet it."""
    summary = summarize(samples_ns)
    half_width = summary.median_half_width
    if summary.median_ms == 0:
        return "the clock is too coarse for this step: its median is 0 ns"
    if half_width is None:
        return f"{summary.count} samples cannot bound a median, 6 can"
    if half_width > rule.median_tolerance:
        return (
            f"the median of {summary.count} samples lies between {summary.median_low_ms:.4g} and "
            f"{summary.median_high_ms:.4g} ms, +-{half_width:.2%}; wanted +-{rule.median_tolerance:.2%}"
        )
    middle = summary.count // 2
    first, second = (summarize(half).median_ms for half in (samples_ns[:middle], samples_ns[middle:]))
    if not _agree(first, second, rule.drift_tolerance):
        return (
            f"the median drifted from {first:.4g} ms in the first half to {second:.4g} ms in the second; "
            f"wanted within {rule.drift_tolerance:.2%}"
        )
    return None


def _agree(first: float, second: float, tolerance: float) -> bool:
    return abs(first - second) <= tolerance * min(first, second)
