"""A sequence of steps to try, each of which may depend on earlier ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable

from rtseg.errors import RtsegError
from rtseg.installation.finding import Finding, failure

NOT_TRIED = "not tried: "
"""The beginning of the text that says why a step was skipped."""


class NotTriedError(Exception):
    """Raised by an attempt that has nothing to try here, which is not a failure. mend says what would change that."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.reason, self.mend = reason, mend


@dataclass(frozen=True)
class Step:
    """One step to try.

    attempt returns a short text about what it saw. It raises RtsegError, ImportError or OSError for a failure, and
    NotTriedError. needs names the packages and steps that must work first; of those that do not, the first is reported.
    lacking is the reason given for later steps that depend on this one: "no driver".
    """

    name: str
    attempt: Callable[[], str]
    needs: tuple[str, ...] = ()
    lacking: str = ""


def findings_of(steps: Iterable[Step], packages: Iterable[Finding]) -> list[Finding]:
    """Return a finding for each step, in order. A step is skipped, with the reason, unless all its needs work.

    The reason names the first step that failed, however many lie in between. Other exceptions of an attempt pass
    through: they are bugs in rtseg.
    """
    reasons = {package.name: f"no working {package.name}" for package in packages if not package.works}
    found = []
    for step in steps:
        reason = next((reasons[name] for name in step.needs if name in reasons), None)
        finding = _tried(step) if reason is None else Finding(step.name, None, NOT_TRIED + reason)
        if not finding.works:
            own = finding.seen[len(NOT_TRIED) :] if finding.works is None else step.lacking
            reasons[step.name] = reason or own or f"no {step.name}"
        found.append(finding)
    return found


def _tried(step: Step) -> Finding:
    try:
        return Finding(step.name, True, step.attempt())
    except NotTriedError as error:
        return Finding(step.name, None, NOT_TRIED + error.reason, error.mend)
    except (RtsegError, ImportError, OSError) as error:  # OSError: a damaged library, or a damaged or full disk
        return failure(step.name, error)
