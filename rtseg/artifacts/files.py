"""Files that are written whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from rtseg.errors import WriteError

PathLike = Union[str, "os.PathLike[str]"]


def sha256_of(path: PathLike) -> str:
    """Return the hexadecimal SHA-256 of the file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def written_together(*paths: PathLike) -> Iterator[tuple[Path, ...]]:
    """Give a temporary path beside each of `paths`; on leaving without an error they become `paths`.

    The temporary files are this call's alone, so several may write one path at once and the last to end stays.
    All are flushed to disk before the first is renamed, and removed after an error. Missing folders are made.
    Raises WriteError for anything the file system refuses.
    """
    targets = [Path(path) for path in paths]
    parts: list[Path] = []
    try:
        parts += [_part_of(target) for target in targets]
        yield tuple(parts)
        for part in parts:
            with open(part, "rb+") as stream:
                os.fsync(stream.fileno())
        for part, target in zip(parts, targets):
            os.replace(part, target)
    except OSError as error:
        raise write_error(targets[0], error) from error
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink()


def _part_of(target: Path) -> Path:
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not the process id: threads share it, and so do processes of several containers that share a folder.
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")


def write_error(target: Path, error: OSError) -> WriteError:
    """Return what to raise where the file system refuses to write target."""
    return WriteError(f"cannot write {target}: {error.strerror or error}", hint="another folder, or free some space")


@contextlib.contextmanager
def written_atomically(path: PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it becomes `path`. Raises WriteError."""
    with written_together(path) as (part,):
        yield part


def require_writable(path: PathLike) -> None:
    """Raise WriteError where no file could be written at path: for work that takes long before it writes."""
    target = Path(path)
    try:
        part = _part_of(target)
        part.touch()
        part.unlink()
    except OSError as error:
        raise write_error(target, error) from error


def write_text_atomically(path: PathLike, text: str) -> None:
    """Write text as UTF-8 so that a reader sees the old content or the new, never a mixture."""
    with written_atomically(path) as part:
        part.write_text(text, encoding="utf-8")
