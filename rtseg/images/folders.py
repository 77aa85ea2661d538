"""Which entries of a folder count: the visible ones with certain suffixes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rtseg.artifacts.files import PathLike


def listed(folder: PathLike, suffixes: Sequence[str]) -> list[Path]:
    """Return the entries of a folder whose names end in one of the suffixes (letter case ignored), sorted by name.

    Hidden entries are left out: nobody puts a picture there under a name that begins with a dot. Such a file is written
    by macOS beside each file on a foreign disk (._0001.png), or is a thumbnail, or a file that is being written.
    Entries of every kind are returned, including folders and broken links: reading them reports the problem, and
    nothing is dropped silently. Subfolders are not entered. Raises OSError.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    return [Path(folder, name) for name in names if not is_hidden(name) and name.lower().endswith(tuple(suffixes))]


def is_hidden(name: str) -> bool:
    """Return whether an entry of that name is hidden."""
    return name.startswith(".")
