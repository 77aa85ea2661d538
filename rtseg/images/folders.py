"""What of a folder is meant when the folder is named: its visible entries of some suffixes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rtseg.artifacts.files import PathLike


def listed(folder: PathLike, suffixes: Sequence[str]) -> list[Path]:
    """Return the entries of a folder whose names end in one of the suffixes, in any case, sorted by name.

    Hidden ones are left out: a name that begins with a dot is never a picture that somebody put there. It is what
    macOS writes beside each file on a foreign disk (._0001.png), a thumbnail, or a file that is being written. Entries
    of every kind are given, folders and broken links too: whoever reads one finds out, and nothing is dropped
    in silence. Subfolders are not entered. Raises OSError.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    return [Path(folder, name) for name in names if not is_hidden(name) and name.lower().endswith(tuple(suffixes))]


def is_hidden(name: str) -> bool:
    """Return whether an entry of that name is hidden."""
    return name.startswith(".")
