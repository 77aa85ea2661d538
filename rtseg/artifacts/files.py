"""Safe file access: whole writes, whole reads, digests, and words that become parts of file names.

Only a regular file, or a symbolic link to one, is ever replaced. Replacing a link leaves its target unchanged: the
target may be an artifact, whose manifest would then describe another file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Union

from rtseg.errors import WriteError

PathLike = Union[str, "os.PathLike[str]"]


def sha256_of(path: PathLike) -> str:
    """Return the hexadecimal SHA-256 of the file's bytes. Raises OSError, also for anything but a regular file."""
    digest = hashlib.sha256()
    if not require_regular_file(path):  # a file that claims to be empty may block a reader, see read_bytes
        return digest.hexdigest()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def require_regular_file(path: PathLike) -> int:
    """Return the size of a file in bytes. Raises OSError, naming the kind, for anything but a regular file.

    Reading a named pipe would wait for ever, and a device may never end.
    """
    described = os.stat(path)
    if not stat.S_ISREG(described.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(described.st_mode) else errno.EINVAL
        raise OSError(number, f"it is {_kind(described.st_mode)}, not a file", os.fspath(path))
    return described.st_size


def read_bytes(path: PathLike) -> bytes:
    """Return the content of a regular file, reading at most one byte more than its size.

    A file of the kernel (in /proc) may block a reader although its size is 0: it counts as empty. Raises OSError.
    """
    size = require_regular_file(path)
    if not size:
        return b""
    with open(path, "rb") as stream:
        return stream.read(size + 1)


def read_utf8(path: PathLike) -> str:
    """Return the UTF-8 text of a regular file, with line feeds as line ends.

    Raises OSError, and UnicodeDecodeError if the content is not UTF-8.
    """
    return read_bytes(path).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


@contextlib.contextmanager
def written_together(*paths: PathLike) -> Iterator[tuple[Path, ...]]:
    """Yield the path of a new, empty file beside each of `paths`; on leaving without an error they become `paths`.

    Their names are random: several writers of the same path do not disturb each other, the last one to finish wins,
    and no prepared link is followed. All files are flushed to disk before the first is renamed, and removed after an
    error. A new file keeps the mode of the file that it replaces. Missing folders are made. Raises WriteError for
    anything the file system refuses, if something other than a regular file is at one of the paths, and if one of the
    files was never written.
    """
    targets = [Path(path) for path in paths]
    parts = [_Part(target) for target in targets]
    try:
        for part in parts:
            part.create()
        yield tuple(part.path for part in parts)
        for part in parts:
            part.finish()
        for part in parts:
            part.replace()
    except OSError as error:
        raise write_error(targets[0], error) from error
    finally:
        for part in parts:
            part.remove()


class _Part:
    """A file that does not have its final name yet."""

    path: Path
    """The path of the file, once it is created."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._mode: int | None = None
        self._stream: BinaryIO | None = None
        self._candidate: Path | None = None

    def create(self) -> None:
        """Create the empty file. Raises OSError."""
        self._target.parent.mkdir(parents=True, exist_ok=True)  # first: else a name that is too long goes unnoticed
        self._mode = _replaceable(self._target)
        # While it is being written, nobody may read it who could not read the file that it replaces.
        access = 0o666 if self._mode is None else 0o600
        while self._stream is None:
            self._candidate = self._target.with_name(_part_name(self._target.stem, self._target.suffix))
            try:
                # It stays open, so that no other file can get its inode number.
                self._stream = open(  # noqa: SIM115
                    self._candidate, "xb", opener=lambda path, flags: os.open(path, flags, access)
                )
            except FileExistsError:
                self._candidate = None  # another writer's file: leave it alone
            else:
                self.path = self._candidate
        os.utime(self.path, (0, 0))
        self._untouched = os.lstat(self.path).st_mtime_ns

    def finish(self) -> None:
        """Flush it to disk. Raises OSError if it is not the file that was created, or if nothing was written."""
        assert self._stream is not None
        described = os.lstat(self.path)
        if _identity(described) != _identity(os.fstat(self._stream.fileno())):
            raise OSError(f"{self.path} was replaced while rtseg wrote it")
        if not described.st_size and described.st_mtime_ns == self._untouched:  # opening it to write changes the time
            raise OSError("nothing was written into it")
        os.fsync(self._stream.fileno())

    def replace(self) -> None:
        """Rename it to its final name. Raises OSError."""
        self._close()
        if self._mode is not None:
            os.chmod(self.path, self._mode)
        os.replace(self.path, self._target)

    def remove(self) -> None:
        """Remove it if it still exists, also if its creation was interrupted."""
        self._close()
        if self._candidate is not None:
            with contextlib.suppress(OSError):
                self._candidate.unlink()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def _identity(described: os.stat_result) -> tuple[int, int]:
    return described.st_dev, described.st_ino


_LONGEST_STEM = 150
"""Bytes: with the parts added around it, a name stays below the 255 bytes that file systems allow."""


def _part_name(stem: str, suffix: str) -> str:
    # Random, not the process id: threads share that, and so do processes of several containers with a common folder.
    short = stem if len(os.fsencode(stem)) <= _LONGEST_STEM else stem[:30]
    return f".{short}.{secrets.token_hex(8)}.part{suffix if len(suffix) <= 20 else ''}"


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def _kind(mode: int) -> str:
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "a special file")


def _replaceable(target: Path) -> int | None:
    """Return the mode of the regular file at target, None if there is none or a link to one.

    Raises OSError for anything else, at the path itself or behind a link.
    """
    try:
        described = os.lstat(target)
    except FileNotFoundError:
        return None
    linked = stat.S_ISLNK(described.st_mode)
    if linked:
        if os.readlink(target).startswith("/proc/"):  # /dev/stdout and the like, whatever is behind them
            raise OSError(f"{target} is a link into /proc, as /dev/stdout is")
        try:
            described = os.stat(target)
        except FileNotFoundError:
            return None
    if stat.S_ISREG(described.st_mode):
        return None if linked else stat.S_IMODE(described.st_mode)
    kind = _kind(described.st_mode)
    raise OSError(f"{target} is {f'a link to {kind}' if linked else kind}")


def write_error(target: Path, error: OSError) -> WriteError:
    """Return the error to raise if the file system refuses to write target."""
    return WriteError(
        f"cannot write {target}: {error.strerror or error}", hint="choose another folder, or free some space"
    )


@contextlib.contextmanager
def written_atomically(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on leaving without an error it becomes `path`. Raises WriteError."""
    with written_together(path) as (part,):
        yield part


def require_replaceable(*paths: PathLike) -> None:
    """Raise WriteError if something other than a regular file is at one of the paths. Writes nothing."""
    for path in paths:
        try:
            _replaceable(Path(path))
        except OSError as error:
            raise write_error(Path(path), error) from error


def require_writable(*paths: PathLike) -> None:
    """Raise WriteError if no file could be written at one of the paths: for long work that ends in writing."""
    for path in map(Path, paths):
        part = _Part(path)
        try:
            part.create()
        except OSError as error:
            raise write_error(path, error) from error
        finally:
            part.remove()


def write_text_atomically(path: PathLike, text: str) -> None:
    """Write text as UTF-8 so that a reader sees either the old content or the new, never a mixture."""
    with written_atomically(path) as part:
        part.write_text(text, encoding="utf-8")


_LONGEST_WORD = 80


def name_part(word: str) -> str:
    """Return a word as a part of a file name: only letters, digits and ._+-, no leading dot, no two dots in a row.

    For words that come from a file, so that none of them leads to another folder. Empty if nothing is left.
    """
    return re.sub(r"(?:[^A-Za-z0-9._+-]|\.{2,})+", "-", word)[:_LONGEST_WORD].strip("-.")
