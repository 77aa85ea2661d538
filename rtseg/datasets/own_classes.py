"""A class list of your own, in a TOML file beside your data:

    names = ["grass", "path", "person"]               # in the order of the network's channels
    palette = [[0, 128, 0], [128, 128, 128], [220, 20, 60]]     # red, green, blue for each class
    values = [0, 1, 2]                                # what stands for each class in the label files
    void = 255                                        # what stands for pixels of no class: a value, or a list of them
    pictures = "images/{split}"                       # the folder with the pictures of a split
    labels = "labels/{split}/{name}.png"              # the label file of the picture {name}

Only names is required. Above are the defaults of the others, except for the palette: by default it is PASCAL VOC's
from its second colour on, as its first is black.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.files import PathLike, read_utf8
from rtseg.artifacts.toml_package import toml_package
from rtseg.datasets.voc_classes import voc_colour
from rtseg.errors import DatasetError, SpecError, UnknownNameError
from rtseg.specs import ClassSpec, Colour

OWN = "own"
"""What such class lists are called in manifests and messages."""

SPLIT, PICTURE = "{split}", "{name}"
PICTURES, LABELS = f"images/{SPLIT}", f"labels/{SPLIT}/{PICTURE}.png"

_LARGEST = 255
_UNKNOWN = 254
"""What stands for a value that is not listed; so there are at most 254 classes."""

_LONGEST_NAME = 100


@dataclass(frozen=True)
class OwnClasses:
    """A class list, and the paths of pictures and labels relative to the file's folder."""

    file: Path
    spec: ClassSpec
    values: tuple[int, ...]
    void: tuple[int, ...]
    pictures: str = PICTURES
    labels: str = LABELS

    def pictures_of(self, split: str) -> Path:
        """Return the folder with the pictures of a split."""
        return self.file.parent / self.pictures.replace(SPLIT, split)

    def labels_of(self, split: str, name: str) -> Path:
        """Return the label file of a picture, whose name is its file's name without the suffix."""
        return self.file.parent / self.labels.replace(SPLIT, split).replace(PICTURE, name)

    def indices(self, stored: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
        """Return the class indices for the values of a label file; void becomes the ignore index.

        path names the file in the message. Raises DatasetError for a value that the list does not have.
        """
        table = np.full(256, _UNKNOWN, np.uint8)
        table[list(self.void)] = self.spec.ignore_index
        table[list(self.values)] = np.arange(len(self.values), dtype=np.uint8)
        found: NDArray[np.uint8] = table[stored]
        if unknown := np.unique(stored[found == _UNKNOWN]).tolist():
            raise DatasetError(
                f"{path} holds values that {self.file} does not list",
                got=", ".join(map(str, unknown[:5])),
                expected=f"{_ranges(self.values)} for the classes, {_ranges(self.void)} for no class",
                hint="put them into void if they stand for no class, else correct names and values",
            )
        return found


def read_own_classes(path: PathLike) -> OwnClasses:
    """Return the class list of a TOML file. Raises SpecError for a file that is none, UnknownNameError for a key."""
    package = toml_package("class lists")
    try:
        data = package.loads(read_utf8(path).removeprefix("\ufeff"))  # Windows' Notepad begins files with it
    except OSError as error:
        hint = f"write it, with {_EXAMPLE}" if isinstance(error, FileNotFoundError) else ""
        raise SpecError(f"cannot read the class list {path}: {error.strerror}", hint=hint) from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or endless numbers and nesting
        raise SpecError(f"{path} is not a class list in TOML: {error}", expected=_EXAMPLE) from error
    return _classes_of(data, Path(path))


_EXAMPLE = 'names = ["grass", "path"]'
_KEYS = ("names", "palette", "values", "void", "pictures", "labels")


def _classes_of(data: Mapping[str, Any], path: Path) -> OwnClasses:
    for key in data:
        if key not in _KEYS:
            raise UnknownNameError(f"key of the class list {path}", key, _KEYS)
    names = _names(data.get("names"), path)
    values = _numbers("values", data.get("values", list(range(len(names)))), path)
    if len(values) != len(names):
        raise _wrong("values", path, f"{len(values)} values", f"{len(names)}, one for each name")
    void = data.get("void", [] if _LARGEST in values else _LARGEST)
    void = _numbers("void", void if isinstance(void, list) else [void], path)
    if both := sorted({*values} & {*void}):
        raise _wrong("void", path, f"{both[0]}, which stands for {names[values.index(both[0])]}", "values of no class")
    return OwnClasses(
        path,
        ClassSpec(OWN, names, _palette(data.get("palette"), path, len(names))),
        values,
        void,
        _pattern("pictures", data, PICTURES, path, required={SPLIT}, allowed={SPLIT}),
        _pattern("labels", data, LABELS, path, required={PICTURE}, allowed={SPLIT, PICTURE}),
    )


def _names(names: object, path: Path) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _wrong("names", path, names, "a list of class names", hint=f"write {_EXAMPLE}")
    if not 2 <= len(names) <= _UNKNOWN:
        raise _wrong("names", path, f"{len(names)} names", f"2 to {_UNKNOWN}")
    for name in names:
        if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise _wrong("names", path, ascii(name), f"1 to {_LONGEST_NAME} printable characters")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _wrong("names", path, f"{twice!r} twice", "a name of its own for each class")
    return tuple(names)


def _palette(given: object, path: Path, count: int) -> tuple[Colour, ...]:
    if given is None:
        return tuple(voc_colour(index + 1) for index in range(count))
    if not isinstance(given, list) or len(given) != count:
        raise _wrong("palette", path, given, f"{count} lists [red, green, blue], one for each name")
    for colour in given:
        if not isinstance(colour, list) or len(colour) != 3 or not all(map(_is_value, colour)):
            raise _wrong("palette", path, colour, f"[red, green, blue], each from 0 to {_LARGEST}")
    return tuple(tuple(colour) for colour in given)


def _is_value(given: object) -> bool:
    return type(given) is int and 0 <= given <= _LARGEST


def _numbers(key: str, given: object, path: Path) -> tuple[int, ...]:
    expected = f"integers from 0 to {_LARGEST}, each once"
    if not isinstance(given, list):
        raise _wrong(key, path, given, expected)
    no_value = [value for value in given if not _is_value(value)]
    if wrong := no_value or [value for value in given if given.count(value) > 1]:
        raise _wrong(key, path, wrong[0], expected)
    return tuple(given)


def _pattern(
    key: str, data: Mapping[str, Any], default: str, path: Path, *, required: set[str], allowed: set[str]
) -> str:
    given = data.get(key, default)
    found = set(re.findall(r"\{[^}]*\}", given)) if isinstance(given, str) else set()
    if not isinstance(given, str) or not given.isprintable() or not required <= found <= allowed:
        expected = f"a path with {' and '.join(required)}"
        raise _wrong(key, path, ascii(given), expected, hint=f"write {key} = {default!r}")
    return given


def _wrong(key: str, path: Path, got: object, expected: str, hint: str = "") -> SpecError:
    return SpecError(f"{key} of the class list {path} is wrong", got=got, expected=expected, hint=hint)


def _ranges(values: Sequence[int]) -> str:
    """Return numbers as text: "0 to 2" or "7, 8, 11"."""
    if len(values) > 1 and list(values) == list(range(values[0], values[0] + len(values))):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values)) or "nothing"
