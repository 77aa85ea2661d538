"""A stand-in for the module tensorrt or tensorrt_rtx, made from one version's API data: names and signatures alone.

Where no GPU is, it lets a build run call by call. A name the version lacks is an AttributeError, arguments that no
overload takes are a TypeError, and every call and every property that is set is written down. What comes back is an
object of the class the signature names, unless `answers` holds something for "Class.method".
"""

from __future__ import annotations

import types
from typing import Any, Callable

from tests.contracts.tensorrt_api import Signature, Version

Answer = Callable[..., Any]


class Recorded:
    """What was done to the objects of one double."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.set: dict[str, Any] = {}
        self.answers: dict[str, Answer] = {}

    def arguments(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of every call of that name, in the order of the signature's parameters."""
        return [arguments for called, arguments in self.calls if called == name]


class Number:
    """A member of an enumeration."""

    def __init__(self, owner: str, name: str, value: int) -> None:
        self.owner, self.name, self.value = owner, name, value

    def __int__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"{self.owner}.{self.name}"


def tensorrt_double(version: Version) -> tuple[types.ModuleType, Recorded]:
    """Return the module and what will be done to it."""
    module, recorded = types.ModuleType(version.module), Recorded()
    classes: dict[str, type] = {}
    for name in version.classes:
        classes[name] = type(name, (), {"_version": version, "__setattr__": _refusing(name, version, recorded)})
    for name, members in version.classes.items():
        for member in members:
            described = version.member(name, member)
            assert described is not None
            value: Any
            if described.kind == "class":
                value = classes[described.result]
            elif described.kind == "constant":
                number = members[member]
                value = Number(
                    described.result, member, number if isinstance(number, int) else SEVERITIES.get(member, 0)
                )
            elif described.kind == "method":
                value = _method(f"{name}.{member}", described.signatures, classes, recorded)
            else:
                value = property(_getter(f"{name}.{member}", recorded))
            setattr(classes[name], member, value)
        if "." not in name:
            setattr(module, name, classes[name])
    module.__version__ = ".".join(map(str, version.number))  # type: ignore[attr-defined]
    return module, recorded


SEVERITIES = {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2, "INFO": 3, "VERBOSE": 4}


def _getter(name: str, recorded: Recorded) -> Answer:
    def get(self: Any) -> Any:
        return recorded.answers[name](self) if name in recorded.answers else recorded.set.get(name, 0)

    return get


def _refusing(owner: str, version: Version, recorded: Recorded) -> Answer:
    def set_attribute(self: Any, name: str, value: Any) -> None:
        described = version.member(owner, name)
        if described is None or described.kind != "rw":
            raise AttributeError(f"{owner}.{name} cannot be set in {version}")
        recorded.set[f"{owner}.{name}"] = value

    return set_attribute


def _method(name: str, signatures: tuple[Signature, ...], classes: dict[str, type], recorded: Recorded) -> Answer:
    def method(self: Any, *given: Any, **named: Any) -> Any:
        for signature in signatures:
            bound = _bound(signature, given, named, classes)
            if bound is not None:
                recorded.calls.append((name, bound))
                if name in recorded.answers:
                    return recorded.answers[name](self, *bound)
                made = classes.get(signature.result)
                return made.__new__(made) if made is not None else None
        raise TypeError(f"{name}() is not called so: {given} {named}")

    return method


def _bound(
    signature: Signature, given: tuple[Any, ...], named: dict[str, Any], classes: dict[str, type]
) -> tuple[Any, ...] | None:
    if len(given) > len(signature.names):
        return None
    values = {**dict(zip(signature.names, given)), **named}
    if not signature.required <= set(values) <= set(signature.names):
        return None
    for name, kind in signature.kinds.items():
        value = values.get(name)
        right = value.owner == kind if isinstance(value, Number) else isinstance(value, classes.get(kind, object))
        if name in values and not right:
            return None
    return tuple(values[name] for name in signature.names if name in values)
