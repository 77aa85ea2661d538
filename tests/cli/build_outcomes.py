"""How `rtseg build` ended, without the note that the file has the form for a CPU: every export in tests has it."""

from __future__ import annotations

from tests.conftest import Outcome, error_of

NOTE = "has the form for a CPU; rtseg export --target tensorrt writes the one for GPUs"


def notes_of(outcome: Outcome) -> list[str]:
    """Return the other lines on standard error."""
    return [line for line in outcome.err.splitlines() if not line.endswith(NOTE)]


def refusal_of(outcome: Outcome) -> str:
    """Return the message of a build that has to fail with one line."""
    return error_of(outcome._replace(err="".join(f"{line}\n" for line in notes_of(outcome))))
