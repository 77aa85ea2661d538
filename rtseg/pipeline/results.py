"""The base class of results: all convert to JSON in the same way."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a stage."""

    def __repr__(self) -> str:
        shown = (f"{entry.name}={reprlib.repr(getattr(self, entry.name))}" for entry in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain dicts, lists, strings and numbers, as the command prints it with --json."""
        return {name: plain(value) for name, value in self._document().items()}

    def _document(self) -> Mapping[str, Any]:
        """Return the content of the JSON by name; by default the fields."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


def plain(value: Any) -> Any:
    """Return a value for JSON: objects by their to_json, dataclasses by their fields, paths as text."""
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return sorted(value) if isinstance(value, (set, frozenset)) else value
