"""rtseg-bench judges latencies as rtseg.benchmarking does: the same samples, figures and words, of both."""

from __future__ import annotations

import dataclasses
import gc
import io
import itertools
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from rich.console import Console

from rtseg.benchmarking.boundaries import BOUNDARIES
from rtseg.benchmarking.environment import environment
from rtseg.benchmarking.rows import NOT_TIMED, BenchmarkRow
from rtseg.benchmarking.sampling import Samples, SamplingRule, judged, measure_interleaved
from rtseg.benchmarking.session import BenchmarkSession
from rtseg.benchmarking.statistics import median_ranks
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.cli.show.benchmark_text import print_benchmark
from tests.embedding.cpp_library import CppLibrary

MS = 1_000_000
LISTS = 400

Ask = Callable[..., list[list[str]]]


@pytest.fixture(scope="module")
def ask(cpp_library: CppLibrary) -> Iterator[Ask]:
    """Hand the program a line of words; return the words of as many lines as are asked for."""
    program = cpp_library.test_program("bench_judgements")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None and running.stdout is not None
        to, answers = running.stdin, running.stdout

        def asked(*words: object, lines: int = 1) -> list[list[str]]:
            to.write(" ".join(map(str, words)) + "\n")
            to.flush()
            return [answers.readline().rstrip("\n").split("\t") for _ in range(lines)]

        yield asked
        to.close()
        assert running.wait() == 0


def words_of(rule: SamplingRule) -> list[object]:
    return list(dataclasses.astuple(rule))


def require_same(answer: Sequence[str], expected: Samples) -> None:
    """Compare a line of the program with what Python measured, all figures to the last bit but for the deviation."""
    status, reason, warmup_count, count = answer[:4]
    assert (status, reason, int(warmup_count)) == (expected.status, expected.reason, expected.warmup_count)
    assert tuple(map(int, answer[13:])) == expected.samples_ns
    figures = [None if word == "-" else float(word) for word in answer[4:13]]
    wanted = dataclasses.asdict(expected.summary)
    assert int(count) == wanted.pop("count")
    found = dict(zip(wanted, figures))
    if wanted["cv"] is not None and found["cv"] is not None:  # NumPy sums the squares in another order
        assert found.pop("cv") == pytest.approx(wanted.pop("cv"), rel=1e-12, abs=0)
    assert found == wanted


def random_latencies(random: np.random.Generator, most: int, typical: int) -> list[int]:
    """Return latencies as machines give them: steady, noisy, with hiccups, drifting, or next to none."""
    count = int(random.integers(1, most))
    typical = int(typical * 10 ** random.uniform(0, 0.5))
    kind = 4 if typical < 4 else random.integers(4)
    if kind == 0:
        values = np.full(count, typical)
    elif kind == 1:
        values = random.normal(typical, typical * 10 ** random.uniform(-4, -0.5), count)
    elif kind == 2:
        values = typical * np.where(random.random(count) < 0.1, random.uniform(1, 50, count), 1)
    elif kind == 3:
        values = typical * np.linspace(1, random.uniform(0.5, 2), count)
    else:
        values = random.integers(0, random.integers(1, 5), count)
    return [int(value) for value in np.maximum(values, 0)]


def random_typical(random: np.random.Generator) -> int:
    return 1 if random.random() < 0.1 else int(10 ** random.uniform(1, 9))


def random_rule(random: np.random.Generator, unit_ns: float) -> SamplingRule:
    """Return a rule of which the seconds are some calls of a step that takes that long, often to the nanosecond."""
    unit = unit_ns / 1e9
    fewest = int(random.integers(0, 60)) * unit
    return SamplingRule(
        min_seconds=fewest,
        max_seconds=fewest * int(random.choice([1, 2, 8])),
        min_samples=int(random.integers(1, 12)),
        max_samples=int(random.integers(12, 400)),
        median_tolerance=float(10 ** random.uniform(-4, -0.5)),
        drift_tolerance=float(10 ** random.uniform(-3, 0)),
        # Of a window of the warm-up 10 000 calls are enough.
        warmup_seconds=int(random.choice([0, 1, 30, 400, 30_000], p=[0.2, 0.2, 0.4, 0.16, 0.04])) * unit,
        warmup_window_seconds=int(random.choice([0, 4, 100, 20_000])) * unit,
        turn_seconds=int(random.choice([0, 1, 5, 20])) * unit,
    )


def test_random_latencies_are_judged_the_same(ask: Ask) -> None:
    random = np.random.default_rng(0)
    reasons = set()
    for _ in range(LISTS):
        latencies = random_latencies(random, 400, random_typical(random))
        rule = random_rule(random, float(np.median(latencies)))
        expected = judged(latencies, rule)
        require_same(ask("judge", *words_of(rule), len(latencies), *latencies)[0], expected)
        reasons.add(" ".join(expected.reason.split()[:3]))
    assert {"the median is", "the median of", "the median drifted", "the clock is"} <= reasons
    assert any(reason.endswith("samples cannot") for reason in reasons), reasons


@pytest.fixture
def little_to_collect() -> None:
    """Keep what all tests have loaded from the garbage collector, which each measurement calls first.

    For good, as tests/conftest.py does: to let go of this would let go of all that was collected.
    """
    gc.freeze()


@pytest.mark.usefixtures("little_to_collect")
def test_random_steps_are_measured_in_the_same_turns(ask: Ask) -> None:
    random = np.random.default_rng(1)
    outcomes = set()
    for _ in range(LISTS):
        typical = random_typical(random)
        scripts = [random_latencies(random, 60, typical) for _ in range(random.integers(1, 5))]
        rule = random_rule(random, float(np.median(scripts[0])))
        expected = measured(rule, scripts)
        lists = itertools.chain.from_iterable([len(script), *script] for script in scripts)
        answers = ask("measure", *words_of(rule), len(scripts), *lists, lines=len(scripts))
        for answer, samples in zip(answers, expected):
            require_same(answer, samples)
            outcomes.add((samples.status, samples.warmup_count > 0, "unsettled" in samples.reason))
    assert len(outcomes) == 6, outcomes


def measured(rule: SamplingRule, scripts: Sequence[Sequence[int]]) -> list[Samples]:
    """Return what Python measures of the steps of bench_judgements, whose samples show who followed whom."""
    now = last = 0

    def step(place: int, durations: Iterator[int]) -> Callable[[], None]:
        def run() -> None:
            nonlocal now, last
            now += next(durations) + last
            last = place

        return run

    steps = {str(place): step(place, itertools.cycle(script)) for place, script in enumerate(scripts)}
    return list(measure_interleaved(steps, rule, clock=lambda: now).values())


@pytest.mark.parametrize("counts", [range(1, 1500), range(1500, 100_000, 997), [100_000]], ids=["few", "many", "most"])
def test_the_ranks_around_a_median_are_the_same(ask: Ask, counts: Sequence[int]) -> None:
    for count in counts:
        ranks = median_ranks(count)
        assert ask("ranks", count)[0] == (["-"] if ranks is None else [str(rank) for rank in ranks]), count


@pytest.mark.parametrize("seconds", [0.01, 0.7, 1.0, 4 / 3, 10.0, 12.5, 3600.0])
def test_a_budget_of_seconds_gives_the_same_rule(ask: Ask, seconds: float) -> None:
    rule = SamplingRule.within(seconds)
    found = [float(word) for word in ask("within", seconds)[0]]
    assert found == [rule.min_seconds, rule.max_seconds, rule.warmup_seconds]


@pytest.fixture(scope="module")
def document(cpp_library: CppLibrary) -> dict:
    """Return the document that tests/bench_document.cpp prints."""
    program = cpp_library.test_program("bench_document")
    return json.loads(subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout)


def test_a_document_has_the_fields_of_pythons_in_their_order(document: dict) -> None:
    session = BenchmarkSession(SamplingRule.within(2))
    subject = Subject("affnet", "random (seed 0)", "64x96", "fp32", "logits")
    steady = judged([7 * MS] * 9 + [9 * MS], session.rule)
    rows = [
        BenchmarkRow(subject, "engine", "", "", None, (), obstacle=Obstacle("not installed", "")),
        BenchmarkRow(subject, "frame", "", "", steady, (), vs_first=1.0),
    ]
    session.rows += [row.to_json() for row in rows]
    result = session.result()
    assert [name for name in document if name not in ("program", "picture")] == list(result)
    assert document["program"] == "rtseg-bench"
    assert document["rule"] == result["rule"]
    assert [list(row) for row in document["rows"][:2]] == [list(row) for row in result["rows"]]
    assert document["rows"][1]["summary"] == pytest.approx(result["rows"][1]["summary"], rel=1e-12)
    assert document["boundaries"] == {name: BOUNDARIES[name] for name in ("engine", "frame")}


@pytest.mark.slow
def test_a_document_tells_of_the_machine_what_python_tells(document: dict) -> None:
    ours = environment()
    theirs = document["environment"]
    assert [name for name in theirs if name != "versions"] == list(ours)
    for name in ("cpu", "memory_bytes", "os", "gpus", "variables"):
        assert theirs[name] == ours[name]
    assert theirs["python"] is None and theirs["tools"]["compiler"]


@pytest.mark.slow
def test_a_runtimes_version_is_read_off_the_name_of_its_file(document: dict) -> None:
    assert document["environment"]["versions"] == {
        "libopenvino.so.2641": "2026.4.1",
        "libonnxruntime.so.1.23.2": "1.23.2",
        "libnvinfer.so.10.3": "10.3",
        "librtseg.so": "",
    }


@pytest.mark.slow
def test_a_document_is_printed_by_rtseg_bench(document: dict) -> None:
    stream = io.StringIO()
    print_benchmark(document, Console(file=stream, width=200))
    assert [row["status"] for row in document["rows"]] == [NOT_TIMED, "STABLE", "UNSTABLE"]
    for words in ("not installed: affnet", "~8.50", "7.00", "vs first", "1.21", "machine: "):
        assert words in stream.getvalue()
