"""A benchmark as a list of groups: made, timed in turns and kept one after the other, so that none is lost.

What is finished is kept in the user's cache folder until the whole run is done. A run that was stopped is gone on with
by the same request.
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
    """What is timed in turns: its name, and for each subject its name and what makes it when its turn comes."""

    name: str
    makers: Mapping[str, Callable[[Observer], Subject]]


def run_groups(
    session: BenchmarkSession, groups: Sequence[Group], request: object, *, resume: bool, observer: Observer
) -> None:
    """Make and time every group; session.rows has all rows afterwards, and what is done when this is interrupted.

    request is what decides the rows, as plain values. With resume the groups that an interrupted run of the same
    request finished are taken from it, with the environment in which they were measured.
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
    """The finished groups of a run that is not at its end yet, on disk."""

    def __init__(self, request: object) -> None:
        self._path = UNFINISHED.path(request)
        self._writable = True

    def read(self, session: BenchmarkSession) -> dict[str, list[Row]]:
        """Return the rows of the finished groups by the group's name, and give the session their environment."""
        content = UNFINISHED.read(self._path)
        if content is None:
            return {}
        kept: dict[str, Any] = json.loads(content)
        session.environment = kept["environment"]
        return dict(kept["groups"])

    def write(self, session: BenchmarkSession, finished: Mapping[str, list[Row]], observer: Observer) -> None:
        """Keep the finished groups. Where that fails it is said once, and a stopped run begins anew."""
        if not self._writable:
            return
        try:
            kept = {"environment": session.environment, "groups": finished}
            UNFINISHED.write(self._path, json.dumps(kept).encode("ascii"))
        except WriteError as error:
            self._writable = False
            observer.warning(f"a benchmark that is stopped will begin anew: {error}")

    def forget(self) -> None:
        """Drop what was kept, as the run is at its end."""
        with contextlib.suppress(OSError):
            self._path.unlink()
