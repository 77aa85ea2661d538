"""A cache of files that rtseg can make again: one folder for each kind, under the user's cache folder.

    TIMES = Cache("timing", ".timing", keep=16)
    path = TIMES.path(["10.3.0", "NVIDIA H200"], label="trt10.3.0")
    times = TIMES.read(path)  # None: not there, or damaged
    TIMES.write(path, b"...")

A file's name holds the digest of everything that decides its content, so a file made from other inputs is never found.
A file is written completely or not at all, and begins with the digest of its content. Processes and threads may use a
folder at the same time. A file may vanish at any moment; that only costs the time to make it again.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rtseg.artifacts.files import write_error, written_atomically
from rtseg.errors import WriteError

_DIGEST_BYTES = hashlib.sha256().digest_size
_NAME_DIGITS = 32
_LONGEST_LABEL = 80

NO_CACHE_HINT = "set RTSEG_CACHE to a folder that can be written"


_LOGGER = logging.getLogger("rtseg")


def cache_folder() -> Path:
    """Return the folder of all caches: RTSEG_CACHE, else the user's cache folder.

    For a user without one, for example without a home, return a folder that is deleted when the process ends; the
    logger "rtseg" warns once that nothing is kept. Raises WriteError if no such folder can be made either.
    """
    return kept_folder() or _folder_of_this_process()


def kept_folder() -> Path | None:
    """Return the folder that outlives the process, None if the user has no place for one."""
    if configured := os.environ.get("RTSEG_CACHE"):
        return Path(configured)
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no HOME and no entry among the users, as for an arbitrary user number in a container
        return None
    folder = base / "rtseg"
    there = next((parent for parent in (folder, *folder.parents) if os.path.exists(parent)), folder)
    # An existing folder can be read even if it cannot be written; "/", the home of many such users, does not count.
    return folder if there == folder or os.access(there, os.W_OK | os.X_OK) else None


@functools.lru_cache(maxsize=1)
def _folder_of_this_process() -> Path:
    try:
        folder = tempfile.mkdtemp(prefix="rtseg-cache-")
    except OSError as error:
        raise WriteError(f"there is no folder to work in: {error.strerror or error}", hint=NO_CACHE_HINT) from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _LOGGER.warning("nothing is kept for the next time: this user has no cache folder. Try: %s", NO_CACHE_HINT)
    return Path(folder)


class Cache:
    """The files of one kind. Files that `path` did not name, such as those of an older rtseg, are left alone."""

    def __init__(self, name: str, suffix: str, *, keep: int, folder: Path | None = None) -> None:
        """Use the folder of that name in the user's cache, or the folder given.

        suffix ends the name of every file. keep is how many files stay: the most recently used ones.
        """
        self._name = name
        self._suffix = suffix
        self._keep = keep
        self._folder = folder
        self._ours = re.compile(rf"(.+-)?[0-9a-f]{{{_NAME_DIGITS}}}{re.escape(suffix)}")

    @property
    def folder(self) -> Path:
        """The folder of the files. It need not exist."""
        return self._folder or cache_folder() / self._name

    def path(self, key: object, *, label: str = "") -> Path:
        """Return the path of the file made from key (plain JSON values). label is a readable part of the name."""
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:_NAME_DIGITS]
        words = re.sub(r"[^0-9A-Za-z.]+", "-", label)[:_LONGEST_LABEL].strip("-.").lower()
        return self.folder / f"{words}{'-' if words else ''}{digest}{self._suffix}"

    def read(self, path: Path) -> bytes | None:
        """Return what write was given, None if the file is missing or damaged."""
        try:
            with open(path, "rb") as stream:
                digest, content = stream.read(_DIGEST_BYTES), stream.read()
        except OSError:
            return None
        if hashlib.sha256(content).digest() != digest:
            return None
        _touch(path)
        return content

    def write(self, path: Path, content: bytes) -> None:
        """Write the file after its digest, completely or not at all, and drop the oldest files. Raises WriteError."""
        with written_atomically(path) as part, open(part, "wb") as stream:
            stream.write(hashlib.sha256(content).digest())
            stream.write(content)
        self._drop_the_oldest(path)

    def used(self, path: Path) -> None:
        """Count a file as used now, and drop the oldest: for files that other software writes and reads."""
        _touch(path)
        self._drop_the_oldest(path)

    @contextlib.contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """Hold the lock of a file in a with block, so that no other process writes it between a read and a write.

        The lock ends with the process: a killed process leaves none behind. On systems without locks, such as Windows,
        the last writer wins. Raises WriteError if the lock file cannot be written.
        """
        lock = path.with_name(f"{path.name}.lock")  # it is removed together with the file
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            stream = open(lock, "ab")  # noqa: SIM115, closed below: a with would also catch errors of the caller
        except OSError as error:
            raise write_error(lock, error) from error
        with stream:
            _lock(stream)
            yield

    def _drop_the_oldest(self, newest: Path) -> None:
        """Remove all but the newest files, and the files beside them whose longer names begin with theirs.

        `newest` stays, whatever the clock of the file system says.
        """
        others: list[tuple[float, Path]] = []
        with contextlib.suppress(OSError):
            for path in newest.parent.iterdir():
                if path.name != newest.name and self._ours.fullmatch(path.name):
                    with contextlib.suppress(OSError):  # another process may drop the same
                        others.append((path.stat().st_mtime, path))
        for _, path in sorted(others, reverse=True)[self._keep - 1 :]:
            for file in path.parent.glob(f"{path.name}*"):
                with contextlib.suppress(OSError):
                    file.unlink()


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):  # a read-only folder still serves
        os.utime(path)


def _lock(stream: BinaryIO) -> None:
    if sys.platform != "win32":  # Windows has no fcntl
        with contextlib.suppress(ImportError, OSError):  # some other systems lack fcntl, some folders lack locks
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
