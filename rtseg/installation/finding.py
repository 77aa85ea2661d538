"""One thing that was tried, and how what went wrong with it is told."""

from __future__ import annotations

from dataclasses import dataclass

from rtseg.errors import CudaError, RtsegError, first_line


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it works, what was seen, and what mends it.

    works is None where it was not tried, and seen then says why.
    """

    name: str
    works: bool | None
    seen: str
    mend: str = ""


def failure(name: str, error: Exception) -> Finding:
    """Return the finding about something that raised: what it says, and what it says to try."""
    if isinstance(error, CudaError):
        return Finding(name, False, error.name, error.hint)
    if isinstance(error, RtsegError):
        what, _, mend = str(error).partition(". Try: ")
        return Finding(name, False, what, mend)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return Finding(name, False, f"the package {error.name} is not installed", f"pip install {error.name}")
    return Finding(name, False, f"{type(error).__name__}: {first_line(error)}")
