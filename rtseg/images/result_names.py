"""Names for the results of several files, all different."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rtseg.errors import InputError


def result_names(paths: Sequence[Path]) -> list[str]:
    """Return a unique name for the results of each path, independent of the order of the paths.

    A file's name is its name without the suffix if no other has that; with the suffix if others share it (0001.png and
    0001.jpg); and with its folders in front if others share that too (left-0001.png, right-0001.png). Names that differ
    only in case, or in how an accent is stored, count as equal, because file systems disagree on them: in one folder
    all but the first get a number (a.PNG, a.png-2). Raises InputError if paths cannot be distinguished this way.
    """
    forms = _forms(paths)
    levels = [0] * len(paths)
    while True:
        names = [form[level] for form, level in zip(forms, levels)]
        number = Counter(map(folded, names))
        twice = [index for index, name in enumerate(names) if number[folded(name)] > 1]
        if not twice:
            return names
        longer = [index for index in twice if levels[index] + 1 < len(forms[index])]
        if not longer:
            raise InputError(
                "several inputs have the same name", got=names[twice[0]], hint="label them in separate runs"
            )
        for index in longer:
            levels[index] += 1


def _forms(paths: Sequence[Path]) -> list[list[str]]:
    """Return the possible names of each file, the shortest first."""
    whole = [os.path.abspath(path) for path in paths]
    places: dict[str, list[str]] = {}
    for place in sorted(whole):
        places.setdefault(folded(place), []).append(place)
    forms = []
    for path, place in zip(paths, whole):
        before = places[folded(place)].index(place)
        number = f"-{before + 1}" if before else ""
        parts = Path(place).parts[1:]
        longer = ["-".join(parts[start:]) + number for start in range(len(parts) - 1, -1, -1)]
        forms.append([path.stem, *longer])
    return forms


def folded(name: str) -> str:
    """Return a form that is equal for names that some file system treats as one."""
    return unicodedata.normalize("NFC", name).casefold()
