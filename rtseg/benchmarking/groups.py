"""A benchmark as a list of groups, made, timed and saved one after the other, so that an interruption loses none.

Finished groups are kept in the user's cache folder until the whole run is done. The same request resumes a run that was
stopped.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from rtseg.artifacts.cache import Cache
from rtseg.benchmarking.session import BenchmarkSession, Row
from rtseg.benchmarking.subjects import Subject
from rtseg.errors import WriteError
from rtseg.observer import Observer, Share

TASK = "benchmark"
UNFINISHED = Cache("unfinished-benchmarks", ".json", keep=16)


@dataclass(frozen=True)
class Group:
    """Subjects that are timed in turns: the group's name, and each subject's name with the function that makes it."""

    name: str
    makers: Mapping[str, Callable[[Observer], Subject]]


def run_groups(
    session: BenchmarkSession, groups: Sequence[Group], request: object, *, resume: bool, observer: Observer
) -> None:
    """Make and time every group; afterwards session.rows has all rows, after an interruption those of finished groups.

    request is what decides the rows, as plain values. With resume, groups that an interrupted run of the same request
    finished are taken from it, with the environment in which they were measured.
    """
    unfinished = _Unfinished(request)
    finished = unfinished.read(session) if resume else {}
    if resume:
        observer.note(f"{len(finished)} of {len(groups)} groups were measured before")
    total = sum(2 * len(group.makers) for group in groups)
    done = 0
    for group in groups:
        if group.name in finished:
            session.rows += finished[group.name]
        else:
            subjects = []
            for index, (name, make) in enumerate(group.makers.items()):
                observer.progress(TASK, done + index, total, name)
                subjects.append(make(Share(observer, TASK, done + index, 1, total, name=name, prefix=True)))
            count = len(subjects)
            watching = Share(observer, TASK, done + count, count, total, name=group.name)
            rows = session.measure(subjects, observer=watching)
            finished[group.name] = rows
            unfinished.write(session, finished, observer)
        done += 2 * len(group.makers)
        observer.progress(TASK, done, total, group.name)
    unfinished.forget()


class _Unfinished:
    """The finished groups of a run that is not complete yet, on disk."""

    def __init__(self, request: object) -> None:
        self._path = UNFINISHED.path(request)
        self._writable = True

    def read(self, session: BenchmarkSession) -> dict[str, list[Row]]:
        """Return the rows of the finished groups by group name, and set the session's environment to theirs."""
        content = UNFINISHED.read(self._path)
        if content is None:
            return {}
        kept: dict[str, Any] = json.loads(content)
        session.environment = kept["environment"]
        return dict(kept["groups"])

    def write(self, session: BenchmarkSession, finished: Mapping[str, list[Row]], observer: Observer) -> None:
        """Save the finished groups. If that fails, warn once that a stopped run will begin anew."""
        if not self._writable:
            return
        try:
            kept = {"environment": session.environment, "groups": finished}
            UNFINISHED.write(self._path, json.dumps(kept).encode("ascii"))
        except WriteError as error:
            self._writable = False
            observer.warning(f"the finished groups cannot be saved, so a stopped benchmark will start over: {error}")

    def forget(self) -> None:
        """Delete the saved groups, as the run is complete."""
        with contextlib.suppress(OSError):
            self._path.unlink()
