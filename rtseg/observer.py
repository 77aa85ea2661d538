"""Reports of long work while it runs: progress, notes and warnings."""

from __future__ import annotations

import logging
from typing import Final

LOGGER: Final = logging.getLogger("rtseg")


class Observer:
    """Receives progress, notes and warnings. Override the methods you need.

    By default progress is dropped; notes and warnings go to the logger "rtseg".
    """

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        """Receive the progress of a task: `done` of `total` (None if unknown), and a short text about the current step.

        task names what is being done ("calibrating"). The method is called many times; the last call for a task with
        a known total has done == total.
        """

    def note(self, text: str) -> None:
        """Receive one or more lines of text for the user."""
        LOGGER.info("%s", text)

    def warning(self, text: str) -> None:
        """Receive one or more lines of text that the user should not miss."""
        LOGGER.warning("%s", text)


class Part(Observer):
    """An observer for a part of a larger task: it reports progress as the whole task's, and passes notes on."""

    def __init__(self, whole: Observer, task: str, before: float, total: float) -> None:
        """`before` is how much of `total` was done when the part began. Both are in the units of the part."""
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
    """An observer for a task that counts as some units of a larger one, in whatever units the task itself counts.

    name is the subject of the task: progress shows it as its detail, and notes and warnings begin with it if `prefix`.
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
        """`before` is how much of `total` was done when the task began; both are in the units of the larger task."""
        self._whole, self._task = whole, task
        self._before, self._units, self._total = before, units, total
        self._name, self._prefix = name, f"{name}: " if prefix else ""

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        """Pass on the progress of the larger task, with the current step as its detail."""
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
"""The observer for work that nobody watches: progress is dropped, notes and warnings are logged."""
