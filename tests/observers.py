"""Observers that keep what they get."""

from __future__ import annotations

from rtseg.observer import Observer


class Recorder(Observer):
    """Keeps the steps of progress as (done, total), their tasks, the notes and the warnings."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float | None]] = []
        self.tasks: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        self.tasks.append(task)
        self.steps.append((done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class Interrupting(Recorder):
    """Interrupts the work, as Ctrl-C does, when so much of it is done."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self._at = at

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        super().progress(task, done, total, detail)
        if done == self._at:
            raise KeyboardInterrupt
