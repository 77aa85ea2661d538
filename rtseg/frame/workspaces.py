"""Workspaces of the C++ core: memory and threads, kept from call to call and lent to one call at a time."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from rtseg.errors import SpecError
from rtseg.frame.native_library import require_done

MOST_THREADS = 256
"""The most threads that may be requested, because running a file would start them all."""


def require_threads(threads: int) -> None:
    """Raise SpecError unless threads is an integer from 0 (all cores) to 256."""
    if not isinstance(threads, int) or isinstance(threads, bool) or not 0 <= threads <= MOST_THREADS:
        raise SpecError("threads is out of range", got=threads, expected=f"0 (all cores) to {MOST_THREADS}")


class Workspaces:
    """As many workspaces as there were concurrent calls, each with at most so many threads; 0 is one per processor.

        with workspaces.lent(library) as workspace:
            code = library.rtseg_workspace_labels(workspace, ...)

    Any number of threads may borrow at once. Idle workspaces are freed with this object, or by free. A forked process
    can use those that were idle, because the library starts new threads there. A copy or an unpickled object begins
    with none.
    """

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        # No lock, because a fork could leave it locked forever: a list appends and pops atomically.
        self._idle: list[_Workspace] = []

    def __reduce__(self) -> tuple[type[Workspaces], tuple[int]]:
        return Workspaces, (self.threads,)

    @contextmanager
    def lent(self, library: ctypes.CDLL) -> Iterator[int]:
        """Lend a workspace, as the pointer that the library takes. Raises MemoryError."""
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = _Workspace(library, self.threads)
        try:
            yield workspace.handle
        finally:
            self._idle.append(workspace)

    def free(self) -> None:
        """Free the idle workspaces. The next borrower gets a new one."""
        self._idle.clear()


class _Workspace:
    """A workspace of the library, freed with this object."""

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        made = ctypes.c_void_p()
        require_done(library, library.rtseg_workspace_create(threads, made))
        assert made.value is not None
        self.handle = made.value
        # not at exit: the process ends its threads itself
        weakref.finalize(self, library.rtseg_workspace_destroy, self.handle).atexit = False
