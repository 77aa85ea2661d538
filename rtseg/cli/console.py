"""What a person sees: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rtseg.observer import Observer

FILE_WIDTH = 160
"""Width in columns of a table that goes to a file or a pipe, which has no width of its own."""


def table_console() -> Console:
    """Return a console for tables on standard output: as wide as the terminal, or wide enough for a file."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


def print_json(data: Any) -> None:
    """Print data as indented JSON on standard output."""
    click.echo(json.dumps(data, indent=2, allow_nan=False))


def say(text: str) -> None:
    """Print a line on standard error, for the person who ran the command."""
    click.echo(text, err=True)


class ConsoleObserver(Observer):
    """Draws a progress bar for the running task on standard error, with the remaining time; notes stay as lines."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = ""
        self._row = None if bar.disable else bar.add_task("", total=None, note="", visible=False)

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        """Draw the bar of the task."""
        if self._row is None:
            return
        if task != self._task:
            self._task = task
            self._bar.reset(self._row, description=task, visible=True, note="")
        self._bar.update(self._row, completed=done, total=total, note=detail)

    def warning(self, text: str) -> None:
        """Print the warning, marked as one."""
        self.note(f"warning: {text}")

    def note(self, text: str) -> None:
        """Print the note."""
        if self._row is None:
            say(text)
        else:
            self._bar.console.print(text, soft_wrap=True)


def progress_bar(console: Console) -> Progress:
    """Return a progress display: task, bar, count, detail, elapsed and remaining time. Text is shown without markup."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def watched() -> Iterator[Observer]:
    """Yield the observer for a command's work; its progress bar disappears when the work ends."""
    with progress_bar(Console(stderr=True, highlight=False, markup=False, emoji=False)) as bar:
        yield ConsoleObserver(bar)
