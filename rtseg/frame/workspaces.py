"""Workspaces of the C++ core: scratch memory and threads, kept from call to call and lent to one call at a time."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from rtseg.errors import SpecError
from rtseg.frame.native_library import require_done

MOST_THREADS = 256
"""What may be asked for: whoever runs a file would start them all."""


def require_threads(threads: int) -> None:
    """Raise SpecError for what is no whole number from 0, all cores, to 256."""
    if not isinstance(threads, int) or isinstance(threads, bool) or not 0 <= threads <= MOST_THREADS:
        raise SpecError("threads is out of range", got=threads, expected=f"0 (all cores) to {MOST_THREADS}")


class Workspaces:
    """As many workspaces as calls ran at once, each with at most so many threads; 0 is one per processor.

        with workspaces.lent(library) as workspace:
            code = library.rtseg_workspace_labels(workspace, ...)

    Any number of threads may borrow at once. What is idle is freed with this object, or by free. A process that was
    forked goes on with what was idle, as the library starts new threads there. A copy, and what is unpickled, begins
    with none.
    """

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        # Without a lock, which a fork could leave locked forever: a list appends and pops in one step.
        self._idle: list[_Workspace] = []

    def __reduce__(self) -> tuple[type[Workspaces], tuple[int]]:
        return Workspaces, (self.threads,)

    @contextmanager
    def lent(self, library: ctypes.CDLL) -> Iterator[int]:
        """Lend a workspace, as the library takes it. Raises MemoryError."""
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = _Workspace(library, self.threads)
        try:
            yield workspace.handle
        finally:
            self._idle.append(workspace)

    def free(self) -> None:
        """Free those that are idle. Whoever borrows next gets a new one."""
        self._idle.clear()


class _Workspace:
    """One of the library's, freed with this object."""

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        made = ctypes.c_void_p()
        require_done(library, library.rtseg_workspace_create(threads, made))
        assert made.value is not None
        self.handle = made.value
        # not at exit: the process takes its threads along
        weakref.finalize(self, library.rtseg_workspace_destroy, self.handle).atexit = False
