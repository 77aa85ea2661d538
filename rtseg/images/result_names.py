"""What the results of several files are called, so that none takes another's place."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rtseg.errors import InputError


def result_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for the results of each path, unlike every other, whatever the order they come in.

    A file is called by its name without the suffix, as long as it alone is called so; with the suffix where others
    share that name (0001.png and 0001.jpg); and with its folders before it where others share that one too
    (left-0001.png, right-0001.png). Names that differ in case alone, or in how an accent is stored, are one name, as
    file systems disagree on them: in one folder all but the first get a number (a.PNG, a.png-2). Raises InputError
    where paths cannot be told apart so.
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
            raise InputError("several inputs have the same name", got=names[twice[0]], hint="one run for each")
        for index in longer:
            levels[index] += 1


def _forms(paths: Sequence[Path]) -> list[list[str]]:
    """Return what each file may be called, the shortest first."""
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
    """Return what is equal of two names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()
