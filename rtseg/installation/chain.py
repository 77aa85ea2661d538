"""A sequence of things to try, each of which may need that earlier ones work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable

from rtseg.errors import RtsegError
from rtseg.installation.finding import Finding, failure

NOT_TRIED = "not tried: "
"""How the words begin that say why a step was left out."""


class NotTriedError(Exception):
    """What an attempt raises that finds nothing to try here, which is no fault. mend is what would change it."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.reason, self.mend = reason, mend


@dataclass(frozen=True)
class Step:
    """One thing to try.

    attempt returns in words what it saw. It raises RtsegError, ImportError or OSError for what does not work, and
    NotTriedError. needs names what has to work first, packages or steps, what is told first before the rest. lacking
    says what later steps then lack: "no driver".
    """

    name: str
    attempt: Callable[[], str]
    needs: tuple[str, ...] = ()
    lacking: str = ""


def findings_of(steps: Iterable[Step], packages: Iterable[Finding]) -> list[Finding]:
    """Return a finding for each step, in order. A step whose needs do not all work is not tried, and says why.

    The reason is that of the first step that failed, however many lie in between. What else an attempt raises passes
    through: it is a fault of rtseg's.
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
    except (RtsegError, ImportError, OSError) as error:  # the last: a library or a disk that is damaged or full
        return failure(step.name, error)
