"""What long work tells while it goes on: how far it is, and what is out of the ordinary."""

from __future__ import annotations

import logging
from typing import Final

LOGGER: Final = logging.getLogger("rtseg")


class Observer:
    """Receives progress and notes. Override what is of interest.

    By default progress is dropped, and notes and warnings are logged by the logger "rtseg".
    """

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        """Receive how far a task is: `done` of `total`, None where the total is not known, and a word about it.

        A task is named by what it does ("calibrating"). It comes many times; a task whose total is
        known ends with done == total.
        """

    def note(self, text: str) -> None:
        """Receive one or more lines for a person."""
        LOGGER.info("%s", text)

    def warning(self, text: str) -> None:
        """Receive what a person should not miss, in one or more lines."""
        LOGGER.warning("%s", text)


class Part(Observer):
    """An observer of a part of a larger task: progress goes on as the whole task's, notes as they are."""

    def __init__(self, whole: Observer, task: str, before: float, total: float) -> None:
        """`before` is what of `total` was done when the part began. Both count in the units of the part."""
        self._whole, self._task, self._before, self._total = whole, task, before, total

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        """Pass on the progress of the whole task."""
        self._whole.progress(self._task, self._before + done, self._total, detail)

    def note(self, text: str) -> None:
        """Pass on a note."""
        self._whole.note(text)

    def warning(self, text: str) -> None:
        """Pass on a warning."""
        self._whole.warning(text)


class Share(Observer):
    """An observer of a task that counts as some units of a larger one, whatever it counts in itself.

    name is what the task is about: progress tells it as its word, notes and warnings where `prefix` says so.
    """

    def __init__(
        self,
        whole: Observer,
        task: str,
        before: float,
        units: float,
        total: float,
        *,
        name: str = "",
        prefix: bool = False,
    ) -> None:
        """`before` is what of `total` was done when the task began; both count in the units of the larger one."""
        self._whole, self._task = whole, task
        self._before, self._units, self._total = before, units, total
        self._name, self._prefix = name, f"{name}: " if prefix else ""

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        """Pass on how far the larger task is, with what is being done as the word about it."""
        share = min(done / total, 1.0) if total else 0.0
        doing = detail if detail and self._name else f"{task} {share:.0%}"
        words = f"{self._name}: {doing}" if self._name else doing
        self._whole.progress(self._task, self._before + self._units * share, self._total, words[:72])

    def note(self, text: str) -> None:
        """Pass on a note."""
        self._whole.note(f"{self._prefix}{text}")

    def warning(self, text: str) -> None:
        """Pass on a warning."""
        self._whole.warning(f"{self._prefix}{text}")


SILENT: Final = Observer()
"""The observer of work that nobody watches: its notes are logged."""
