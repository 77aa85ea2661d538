"""Dataclasses that convert to and from JSON, each written in the oldest version of the format that can hold it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from rtseg.errors import SpecError

CONTRACT_VERSION = 2
"""The newest version of contracts in JSON. A contract is written in the oldest version that can hold it."""

SpecType = TypeVar("SpecType", bound="VersionedSpec")


@dataclass(frozen=True)
class VersionedSpec:
    """A dataclass that converts to and from JSON, and refuses unknown and missing fields.

    JSON has a version, which is left out for the first. A field of a later version has a default. A spec with the
    default in all such fields is written in the first version: its digest stays the same, and older versions of rtseg
    can read it. They refuse any other spec because of its unknown fields.
    """

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers, in the oldest version that can hold the spec."""
        version = max(_since(entry) for entry in fields(self) if getattr(self, entry.name) != _later_default(entry))
        said = [entry.name for entry in fields(self) if _since(entry) <= version]
        values = asdict(self)
        return {**({"version": version} if version > 1 else {}), **{name: _plain(values[name]) for name in said}}

    @classmethod
    def from_json(cls: type[SpecType], data: object) -> SpecType:
        """Return the spec that to_json described, in any version up to CONTRACT_VERSION.

        Raises SpecError for a newer version, and for other fields or values.
        """
        if not isinstance(data, Mapping):
            raise SpecError(f"{cls.__name__} is not an object", got=type(data).__name__)
        version = known_version(cls.__name__, data)
        given = {name: _frozen(value) for name, value in data.items() if name != "version"}
        expected = [entry.name for entry in fields(cls) if _since(entry) <= version]
        if set(given) != set(expected):
            raise SpecError(
                f"the fields of {cls.__name__} do not match", got=sorted(map(str, given)), expected=sorted(expected)
            )
        values = {**{entry.name: _later_default(entry) for entry in fields(cls)}, **given}
        require_field_types(cls, values)
        return cls(**values)


SINCE_2 = {"since": 2}


def _since(entry: Field[Any]) -> int:
    """Return the first version of JSON that has the field."""
    return int(entry.metadata.get("since", 1))


def _later_default(entry: Field[Any]) -> object:
    """Return the value of the field in older versions, which lack it; MISSING if the first version has it."""
    return entry.default if _since(entry) > 1 else MISSING


def known_version(kind: str, data: Mapping[str, object]) -> int:
    """Return the version of a contract in JSON. Raises SpecError for an invalid one, or one newer than this rtseg."""
    version = data.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SpecError(f"{kind} has an invalid version", got=reprlib.repr(version), expected="a whole number")
    if version > CONTRACT_VERSION:
        raise SpecError(
            f"{kind} is of a newer version",
            got=version,
            expected=f"{CONTRACT_VERSION} or less",
            hint="install a newer rtseg",
        )
    return version


def require_field_types(dataclass_type: type, values: Mapping[str, object]) -> None:
    """Raise SpecError, naming the field, unless each value is of the type that the dataclass annotates."""
    hints = get_type_hints(dataclass_type)
    for name, expected in ((entry.name, hints[entry.name]) for entry in fields(dataclass_type)):
        if not _is_of_type(values[name], expected):
            words = getattr(expected, "__name__", "") if not get_args(expected) else str(expected)
            raise SpecError(
                f"{dataclass_type.__name__}'s {name} has the wrong type",
                got=reprlib.repr(values[name]),
                expected=words.replace("typing.", "").replace("collections.abc.", ""),
            )


def _is_of_type(value: object, expected: Any) -> bool:
    """Return whether value is of the annotated type, as far as JSON can show: a float may be written as an integer."""
    origin, inner = get_origin(expected), get_args(expected)
    if expected is Any:
        return True
    if origin is Union:
        return any(_is_of_type(value, choice) for choice in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        types = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return len(types) == len(value) and all(map(_is_of_type, value, types))
    if origin is not None:
        return (
            isinstance(value, Mapping)
            and all(_is_of_type(key, inner[0]) for key in value)
            and all(_is_of_type(item, inner[1]) for item in value.values())
        )
    if expected is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
