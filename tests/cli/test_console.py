"""What the console shows of progress and notes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rtseg.cli.console import ConsoleObserver, print_json, progress_bar, watched


def test_notes_are_lines_on_standard_error_and_warnings_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    with watched() as observer:
        observer.note("[red]a note[/red] :smile:")
        observer.warning("a warning")
    assert capsys.readouterr().err == "[red]a note[/red] :smile:\nwarning: a warning\n"


def test_what_looks_like_markup_is_drawn_as_it_is() -> None:
    stream = io.StringIO()
    with progress_bar(Console(file=stream, force_terminal=True, markup=False, emoji=False, width=160)) as bar:
        observer = ConsoleObserver(bar)
        observer.progress("task [/oops]", 1, 2, "[weight] of")
        observer.progress("task [/oops]", 2, 2, "[/bad]")
    assert "task [/oops]" in stream.getvalue() and "[/bad]" in stream.getvalue()


def test_json_has_no_numbers_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"x": float("nan")})
