"""What a person sees: tables on standard output, everything passing on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

FILE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe, where nothing limits them."""


def table_console() -> Console:
    """Return a console for tables on standard output: as wide as the terminal, or wide enough for a file."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(highlight=False, markup=False, width=width)


def print_json(data: Any) -> None:
    """Print data as indented JSON on standard output."""
    click.echo(json.dumps(data, indent=2))


def say(text: str) -> None:
    """Print one line for the person on standard error."""
    click.echo(text, err=True)


def progress_bar() -> Progress:
    """Return a progress display on standard error, with a free text column and the time to go."""
    console = Console(stderr=True, highlight=False, markup=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def counted(description: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that takes (done, total) and draws a bar."""
    with progress_bar() as bar:
        task = bar.add_task(description, total=None, note="")
        yield lambda done, total: bar.update(task, completed=done, total=total)
