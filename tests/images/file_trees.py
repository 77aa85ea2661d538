"""Random folders as they lie on disks: good pictures, bad ones, hidden ones, twins, and what is no picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from tests.images.picture_files import bmp, png, stored_by_pillow

PICTURES = tuple(np.random.default_rng(seed).integers(0, 256, (10, 12, 3), np.uint8) for seed in range(3))
LOSSLESS: Mapping[str, Mapping[str, object]] = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}
GOOD = {
    f"{name} {index}": stored_by_pillow(name, picture, **options)
    for index, picture in enumerate(PICTURES)
    for name, options in LOSSLESS.items()
}
"""Whole files by their format and the index of the picture that they hold, exactly."""
BAD = {
    "empty": b"",
    "text": b"hello",
    "cut": GOOD["PNG 0"][:-30],
    "cut bitmap": GOOD["BMP 1"][:-30],
    "huge": bmp(40000, 40000, compression=1),
    "claim": png(2, 2)[:33] + b"\xff\xff\xff\xefIDAT",
    "apple": b"\0\5\x16\7\0\2\0\0",
}
SPECIAL: Mapping[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "link": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "pipe": lambda path: os.mkfifo(path),
}
SUFFIXES = (".png", ".PNG", ".jpg", ".bmp", ".tif", ".webp")

_STEMS = st.sampled_from(["a", "A", "0001", "b.c", "\u00e9"])
_HIDING = st.sampled_from(["", "", "", "._", "."])
_NAMES = st.tuples(_HIDING, _STEMS, st.sampled_from(SUFFIXES)).map("".join)
_OTHERS = st.sampled_from(["notes.txt", "Thumbs.db", ".DS_Store", "a", "png", "a.png.part", "desktop.ini"])
_KINDS = st.sampled_from([*GOOD, *GOOD, *BAD, *SPECIAL])

TREES = st.dictionaries(st.one_of(_NAMES, _NAMES, _NAMES, _OTHERS), _KINDS, max_size=6)
"""Kinds of what lies in a folder, by name."""


@dataclass(frozen=True)
class Expected:
    """What a folder means: its good pictures by name, with the index of what each shows, and the names of bad ones."""

    good: Mapping[str, int]
    bad: frozenset[str]

    @property
    def names(self) -> list[str]:
        """All names in order."""
        return sorted([*self.good, *self.bad])


def planted(folder: Path, tree: Mapping[str, str]) -> Expected:
    """Make the tree in a new folder and return what it means."""
    folder.mkdir(parents=True)
    good, bad = {}, set()
    for name, kind in tree.items():
        if kind in SPECIAL:
            SPECIAL[kind](folder / name)
        else:
            (folder / name).write_bytes(GOOD[kind] if kind in GOOD else BAD[kind])
        if name.startswith(".") or not name.endswith(SUFFIXES):
            continue
        if kind in GOOD:
            good[name] = int(kind[-1])
        else:
            bad.add(name)
    return Expected(good, frozenset(bad))
