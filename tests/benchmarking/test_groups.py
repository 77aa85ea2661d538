"""A benchmark group by group: counted as one task, kept when it is stopped, gone on with, never judged by a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rtseg.benchmarking.groups import Group, run_groups
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.benchmarking.session import BenchmarkSession
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.observer import Observer
from tests.observers import Recorder

AT_ONCE = SamplingRule(min_seconds=0, max_seconds=0.01, min_samples=5, warmup_seconds=0)
WITHOUT = Subject("affnet", "random", "64x64", "fp32", "scores", obstacle=Obstacle("not built", "it is too large"))
REQUEST = ["a request"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made(name: str, calls: list[str], observer: Observer) -> Subject:
    calls.append(name)
    observer.progress("exporting", 1, 2)
    observer.note("exported")
    return replace(WITHOUT, network=name)


def groups(calls: list[str], *names: str, make: Callable[..., Subject] = made) -> list[Group]:
    return [Group(name, {f"{name} scores": partial(make, name, calls)}) for name in names]


def stopped_at(stop: str) -> Callable[..., Subject]:
    def make(name: str, calls: list[str], observer: Observer) -> Subject:
        if name == stop:
            raise KeyboardInterrupt
        return made(name, calls, observer)

    return make


def run(session: BenchmarkSession, parts: list[Group], *, resume: bool = False, request: object = REQUEST) -> Recorder:
    recorder = Recorder()
    run_groups(session, parts, request, resume=resume, observer=recorder)
    return recorder


def names_of(session: BenchmarkSession) -> list[str]:
    return [row["network"] for row in session.rows]


def test_groups_are_made_and_measured_one_after_the_other() -> None:
    session, calls = BenchmarkSession(AT_ONCE), []
    run(session, groups(calls, "a", "b"))
    assert (calls, names_of(session)) == (["a", "b"], ["a", "b"])


def test_the_whole_counts_as_one_task_that_ends_at_its_total() -> None:
    recorder = run(BenchmarkSession(AT_ONCE), groups([], "a", "b"))
    assert recorder.steps == sorted(recorder.steps)
    assert {total for _, total in recorder.steps} == {4}
    assert recorder.steps[-1] == (4, 4)
    assert (0.5, 4) in recorder.steps


def test_a_note_says_of_what_it_is() -> None:
    assert "a scores: exported" in run(BenchmarkSession(AT_ONCE), groups([], "a")).notes


def test_a_stopped_run_keeps_the_rows_of_the_groups_it_finished() -> None:
    session = BenchmarkSession(AT_ONCE)
    with pytest.raises(KeyboardInterrupt):
        run(session, groups([], "a", "b", "c", make=stopped_at("c")))
    assert names_of(session) == ["a", "b"]


def test_resumed_it_takes_the_finished_groups_and_their_environment_and_makes_the_rest() -> None:
    first = BenchmarkSession(AT_ONCE)
    first.environment["load_average"] = [12.5]
    with pytest.raises(KeyboardInterrupt):
        run(first, groups([], "a", "b", make=stopped_at("b")))
    second, calls = BenchmarkSession(AT_ONCE), []
    recorder = run(second, groups(calls, "a", "b"), resume=True)
    assert (calls, names_of(second)) == (["b"], ["a", "b"])
    assert second.environment["load_average"] == [12.5]
    assert "1 of 2 groups were measured before" in recorder.notes


def test_another_request_is_not_gone_on_with() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(BenchmarkSession(AT_ONCE), groups([], "a", "b", make=stopped_at("b")))
    calls: list[str] = []
    run(BenchmarkSession(AT_ONCE), groups(calls, "a", "b"), resume=True, request=["another"])
    assert calls == ["a", "b"]


def test_a_run_that_is_not_resumed_begins_anew() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(BenchmarkSession(AT_ONCE), groups([], "a", "b", make=stopped_at("b")))
    calls: list[str] = []
    run(BenchmarkSession(AT_ONCE), groups(calls, "a", "b"))
    assert calls == ["a", "b"]


def test_a_finished_run_leaves_nothing_behind(cache: Path) -> None:
    run(BenchmarkSession(AT_ONCE), groups([], "a", "b"))
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_where_nothing_can_be_kept_it_is_said_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "file"))
    session = BenchmarkSession(AT_ONCE)
    recorder = run(session, groups([], "a", "b"))
    assert names_of(session) == ["a", "b"]
    assert [text.startswith("the finished groups cannot be saved") for text in recorder.warnings] == [True]
