"""A folder with a file for each frame of a video, which appears completely or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from rtseg.artifacts.files import PathLike, write_error
from rtseg.images.folders import is_hidden

_FRAME = re.compile(r"\d{6,}\.png")


def frame_name(index: int) -> str:
    """Return the name of the file of a frame, counted from 0."""
    return f"{index:06d}.png"


@contextlib.contextmanager
def frames_written_to(path: PathLike) -> Iterator[Path]:
    """Yield the path of a new folder. On leaving without an error it replaces path; after an error it is removed.

    So no frame of an earlier, longer video stays. An existing folder at path is replaced only if it holds nothing but
    frames and hidden files. Raises WriteError for anything else there, including a link, which would lead frames
    elsewhere, and for anything the file system refuses.
    """
    target = Path(path)
    part = target.with_name(f".{target.name[:30]}.{secrets.token_hex(8)}.part")
    try:
        try:
            _require_frames_alone(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.mkdir()
        except OSError as error:
            raise write_error(target, error) from error
        yield part
        try:
            _replace(part, target)
        except OSError as error:
            raise write_error(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _replace(part: Path, target: Path) -> None:
    """Rename a folder to its final name, and remove the folder that had it. Raises OSError."""
    if not _require_frames_alone(target):
        os.replace(part, target)
        return
    before = part.with_suffix(".before")
    os.replace(target, before)
    try:
        os.replace(part, target)
    except OSError:
        os.replace(before, target)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _require_frames_alone(target: Path) -> bool:
    """Return whether target is a folder of frames; False if it does not exist. Raises OSError for anything else."""
    try:
        described = os.lstat(target)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(described.st_mode):
        raise OSError(f"{target} is {'a link' if stat.S_ISLNK(described.st_mode) else 'not a folder'}")
    with os.scandir(target) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False) or not (is_hidden(entry.name) or _FRAME.fullmatch(entry.name)):
                raise OSError(f"{target} holds {entry.name}, which is not a frame")
    return True
