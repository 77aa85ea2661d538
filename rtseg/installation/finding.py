"""The finding about one thing that was tried, and how an exception becomes one."""

from __future__ import annotations

from dataclasses import dataclass

from rtseg.errors import CudaError, RtsegError, first_line


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it works, what was seen, and how to mend it.

    works is None if it was not tried; seen then says why.
    """

    name: str
    works: bool | None
    seen: str
    mend: str = ""


def failure(name: str, error: Exception) -> Finding:
    """Return the finding for an exception: its message, and its advice on what to try."""
    if isinstance(error, CudaError):
        return Finding(name, False, error.name, error.hint)
    if isinstance(error, RtsegError):
        what, _, mend = str(error).partition(". Try: ")
        return Finding(name, False, what, mend)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return Finding(name, False, f"the package {error.name} is not installed", f"run pip install {error.name}")
    return Finding(name, False, f"{type(error).__name__}: {first_line(error)}")
