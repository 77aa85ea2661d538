from __future__ import annotations

import gc
import itertools
import json
from dataclasses import replace

import pytest

from rtseg.benchmarking.sampling import STABLE, UNSTABLE, SamplingRule, measure, measure_interleaved
from rtseg.errors import SpecError

S = 1_000_000_000
MS = 1_000_000

RULE = SamplingRule(min_seconds=1, max_seconds=10, min_samples=5, warmup_seconds=0)
WARM = replace(RULE, warmup_seconds=100, warmup_window_seconds=0)


class ScriptedMachine:
    """A clock that moves only while a step runs, by the next duration of that step's script."""

    def __init__(self):
        self.now_ns = 0
        self.order = []

    def clock(self):
        return self.now_ns

    def step(self, durations_ns, name="step"):
        script = iter(durations_ns)

        def run():
            self.order.append(name)
            self.now_ns += next(script)

        return run

    def measure(self, durations_ns, rule):
        return measure(self.step(durations_ns), rule, clock=self.clock)


@pytest.fixture
def machine():
    return ScriptedMachine()


def steadily(duration_ns):
    return itertools.repeat(duration_ns)


def alternately(*durations_ns):
    return itertools.cycle(durations_ns)


def test_samples_are_the_durations_of_the_step_in_order(machine):
    durations_ns = [100 * MS + i for i in range(20)]
    result = machine.measure(durations_ns, RULE)
    assert result.samples_ns == tuple(durations_ns[:10])


def test_steady_step_is_stable_after_the_minimum_time(machine):
    result = machine.measure(steadily(10 * MS), RULE)
    assert (len(result.samples_ns), result.status) == (100, STABLE)


def test_minimum_count_holds_when_the_minimum_time_is_long_over(machine):
    result = machine.measure(steadily(2 * S), replace(RULE, min_samples=4, max_seconds=1))
    assert len(result.samples_ns) == 4


def test_minimum_count_holds_when_one_call_is_longer_than_the_budget(machine):
    result = machine.measure(steadily(60 * S), RULE)
    assert len(result.samples_ns) == RULE.min_samples


def test_fewer_samples_than_can_bound_a_median_are_unstable(machine):
    result = machine.measure(steadily(60 * S), RULE)
    assert result.status == UNSTABLE
    assert "5 samples cannot bound a median, 6 can" in result.reason


def test_sampling_goes_on_past_the_minimum_count_until_the_median_can_be_bounded(machine):
    result = machine.measure(steadily(1 * S), RULE)
    assert (len(result.samples_ns), result.status) == (6, STABLE)


def test_noise_is_sampled_away_beyond_the_minimum_time(machine):
    first = [150 * MS, 80 * MS] * 4
    result = machine.measure(itertools.chain(first, steadily(100 * MS)), RULE)
    assert sum(result.samples_ns) > RULE.min_seconds * S
    assert result.status == STABLE


def test_two_equally_frequent_speeds_are_unstable(machine):
    result = machine.measure(alternately(10 * MS, 20 * MS), RULE)
    assert result.status == UNSTABLE
    assert "lies between 10 and 20 ms" in result.reason


def test_sampling_of_noise_ends_at_the_time_budget(machine):
    result = machine.measure(alternately(10 * MS, 20 * MS), RULE)
    assert sum(result.samples_ns) == pytest.approx(RULE.max_seconds * S, abs=20 * MS)


def test_sampling_of_a_fast_step_ends_at_the_maximum_count(machine):
    result = machine.measure(steadily(100), replace(RULE, max_samples=1000))
    assert (len(result.samples_ns), result.status) == (1000, STABLE)


def test_rare_outliers_leave_the_median_stable(machine):
    result = machine.measure(alternately(*[10 * MS] * 19, 50 * MS), RULE)
    assert result.status == STABLE


def test_step_that_slows_down_midway_is_unstable_though_each_half_is_steady(machine):
    rule = replace(RULE, min_seconds=3, max_seconds=3)
    result = machine.measure([10 * MS] * 161 + [12 * MS] * 200, rule)
    assert result.summary.median_half_width < rule.median_tolerance
    assert result.status == UNSTABLE
    assert "drifted from 10 ms" in result.reason


def test_clock_too_coarse_for_the_step_is_unstable(machine):
    result = machine.measure(steadily(0), replace(RULE, max_samples=50))
    assert (len(result.samples_ns), result.status) == (50, UNSTABLE)
    assert "too coarse" in result.reason


def test_warm_up_ends_when_two_windows_agree(machine):
    slow_then_fast = itertools.chain([90 * MS] * 3, [50 * MS] * 3, steadily(10 * MS))
    result = machine.measure(slow_then_fast, WARM)
    assert result.warmup_count == 12
    assert set(result.samples_ns) == {10 * MS}


def test_warm_up_window_lasts_at_least_its_seconds(machine):
    result = machine.measure(steadily(10 * MS), replace(WARM, warmup_window_seconds=0.5))
    assert result.warmup_count == 100


def test_warm_up_window_of_a_fast_step_ends_when_it_is_full(machine):
    result = machine.measure(steadily(100), replace(WARM, warmup_window_seconds=1, max_samples=10))
    assert result.warmup_count == 20_000


def test_warm_up_that_never_settles_ends_at_its_bound_and_is_told(machine):
    doubling = (2**i * MS for i in range(12))
    result = machine.measure(itertools.chain(doubling, steadily(10 * MS)), replace(WARM, warmup_seconds=4))
    assert result.warmup_count == 12
    assert result.status == STABLE
    assert "the warm-up ended unsettled, after 12 calls" in result.reason


def test_slow_step_is_warmed_up_once_when_one_call_uses_up_the_bound(machine):
    result = machine.measure(steadily(2 * S), replace(WARM, warmup_seconds=1))
    assert result.warmup_count == 1


def test_no_warm_up_seconds_mean_no_warm_up(machine):
    result = machine.measure(steadily(10 * MS), RULE)
    assert result.warmup_count == 0
    assert len(machine.order) == len(result.samples_ns)


def test_steps_take_turns_and_every_round_begins_one_later(machine):
    steps = {name: machine.step(steadily(S), name) for name in "ABC"}
    measure_interleaved(steps, replace(RULE, max_seconds=4), clock=machine.clock)
    assert "".join(machine.order) == "ABCBCACABABCBCA"


def test_a_turn_lasts_until_its_seconds_are_over(machine):
    steps = {name: machine.step(steadily(40 * MS), name) for name in "AB"}
    measure_interleaved(steps, replace(RULE, max_seconds=1), clock=machine.clock)
    assert "".join(machine.order[:12]) == "AAABBBBBBAAA"


def test_a_step_on_its_own_is_looked_at_after_each_call(machine):
    result = machine.measure(steadily(10 * MS), replace(RULE, min_seconds=0, turn_seconds=5))
    assert len(result.samples_ns) == 6


def test_warm_up_of_several_steps_takes_turns(machine):
    steps = {name: machine.step(steadily(10 * MS), name) for name in "AB"}
    result = measure_interleaved(steps, replace(WARM, turn_seconds=0.02), clock=machine.clock)
    assert "".join(machine.order[: 2 * result["A"].warmup_count]) == "AABBBBAA" * 2


def test_each_interleaved_step_tells_its_own_warm_up(machine):
    steps = {"fast": machine.step(steadily(10 * MS)), "slow": machine.step(steadily(50 * MS))}
    result = measure_interleaved(steps, WARM, clock=machine.clock)
    assert (result["fast"].warmup_count, result["slow"].warmup_count) == (40, 8)


def test_interleaved_samples_belong_to_their_own_step(machine):
    steps = {"fast": machine.step(steadily(10 * MS)), "slow": machine.step(steadily(30 * MS))}
    result = measure_interleaved(steps, RULE, clock=machine.clock)
    assert list(result) == ["fast", "slow"]
    assert set(result["fast"].samples_ns) == {10 * MS}
    assert set(result["slow"].samples_ns) == {30 * MS}


def test_interleaved_steps_go_on_until_the_noisiest_is_done(machine):
    noisy = itertools.chain([150 * MS, 80 * MS] * 15, steadily(100 * MS))
    steps = {"steady": machine.step(steadily(100 * MS)), "noisy": machine.step(noisy)}
    result = measure_interleaved(steps, RULE, clock=machine.clock)
    assert len(result["steady"].samples_ns) > 30
    assert {samples.status for samples in result.values()} == {STABLE}


def test_interleaved_steps_get_the_same_time_however_fast_they_are(machine):
    steps = {"fast": machine.step(steadily(1 * MS)), "slow": machine.step(steadily(25 * MS))}
    result = measure_interleaved(steps, RULE, clock=machine.clock)
    assert sum(result["fast"].samples_ns) == sum(result["slow"].samples_ns) >= RULE.min_seconds * S


def test_a_step_whose_calls_outlast_a_turn_still_gets_the_minimum_count(machine):
    steps = {"fast": machine.step(steadily(10 * MS)), "slow": machine.step(steadily(3 * S))}
    result = measure_interleaved(steps, replace(RULE, max_seconds=1), clock=machine.clock)
    assert (len(result["fast"].samples_ns), len(result["slow"].samples_ns)) == (50, RULE.min_samples)


def test_no_interleaved_step_exceeds_the_maximum_count(machine):
    steps = {"fast": machine.step(steadily(1 * MS)), "slow": machine.step(steadily(25 * MS))}
    result = measure_interleaved(steps, replace(RULE, min_seconds=3, max_samples=150), clock=machine.clock)
    assert [len(samples.samples_ns) for samples in result.values()] == [150, 150]


def test_interleaved_steps_are_judged_one_by_one(machine):
    steps = {"steady": machine.step(steadily(10 * MS)), "bimodal": machine.step(alternately(10 * MS, 20 * MS))}
    result = measure_interleaved(steps, RULE, clock=machine.clock)
    assert {name: samples.status for name, samples in result.items()} == {"steady": STABLE, "bimodal": UNSTABLE}


def test_interleaved_steps_have_the_budget_of_all_together(machine):
    steps = {name: machine.step(alternately(10 * MS, 20 * MS)) for name in "AB"}
    measure_interleaved(steps, RULE, clock=machine.clock)
    assert machine.now_ns == pytest.approx(2 * RULE.max_seconds * S, abs=2 * (RULE.turn_seconds * S + 20 * MS))


def test_no_steps_are_refused():
    with pytest.raises(SpecError, match="no steps"):
        measure_interleaved({}, RULE)


def test_null_step_records_the_overhead_of_the_harness_as_samples():
    calls = []
    rule = SamplingRule(min_seconds=0, max_samples=200, warmup_seconds=0.01, warmup_window_seconds=0)
    result = measure(lambda: calls.append(None), rule)
    assert rule.min_samples <= len(result.samples_ns) <= 200
    assert len(calls) == result.warmup_count + len(result.samples_ns)
    assert all(sample >= 0 for sample in result.samples_ns)


def test_garbage_collector_is_paused_for_every_call(machine):
    states = []
    run = machine.step(steadily(100 * MS))
    measure(lambda: (run(), states.append(gc.isenabled())), WARM, clock=machine.clock)
    assert set(states) == {False}


def test_garbage_collector_runs_again_afterwards(machine):
    machine.measure(steadily(S), RULE)
    assert gc.isenabled()


def test_garbage_collector_runs_again_after_an_exception(machine):
    with pytest.raises(StopIteration):
        machine.measure([S, S], RULE)
    assert gc.isenabled()


def test_garbage_collector_that_was_off_stays_off(machine):
    gc.disable()
    try:
        machine.measure(steadily(S), RULE)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_exception_of_the_step_passes_untouched():
    error = ValueError("the engine is gone")

    def fail():
        raise error

    with pytest.raises(ValueError) as caught:
        measure(fail, RULE)
    assert caught.value is error


def test_samples_go_to_json_with_every_raw_value(machine):
    result = machine.measure(steadily(100 * MS), RULE)
    assert json.loads(json.dumps(result.to_json())) == {
        "status": STABLE,
        "reason": "the median is known within +-0.00% and does not drift",
        "warmup_count": 0,
        "samples_ns": [100 * MS] * 10,
    }


@pytest.mark.parametrize(
    "values",
    [
        {"min_seconds": 3, "max_seconds": 2},
        {"min_seconds": -1},
        {"min_samples": 0},
        {"min_samples": 10, "max_samples": 9},
        {"median_tolerance": 0},
        {"drift_tolerance": float("nan")},
        {"warmup_seconds": -1},
        {"warmup_window_seconds": -1},
        {"turn_seconds": float("nan")},
    ],
)
def test_rule_that_cannot_be_kept_is_refused(values):
    with pytest.raises(SpecError):
        SamplingRule(**values)
