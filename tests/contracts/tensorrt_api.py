"""TensorRT's Python API of six versions as data (tests/data/tensorrt_api), and questions about it.

TensorRT for RTX is another product with the same API, some names gone and some new: four versions of it are data too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "data" / "tensorrt_api"
VERSIONS = ("8.5.3", "8.6.1", "10.0.1", "10.3", "10.16.1", "11.4")
RTX_VERSIONS = ("rtx-1.4", "rtx-1.5", "rtx-1.6", "rtx-1.7")

BASES = {"Logger": "ILogger", "Profiler": "IProfiler"}
"""What the data do not tell of classes: inheritance, as far as we use it. The slow test asks the real classes."""

PROPERTY_TYPES = {("EngineInspector", "execution_context"): "IExecutionContext"}
"""Classes of the values of properties, which the data do not tell either. Others may be used, not looked into."""

ALWAYS = frozenset({"__version__", "__name__", "__file__", "__members__"})


@dataclass(frozen=True)
class Signature:
    """One overload: names of parameters, classes of TensorRT they ask for, how many must be given, what comes back."""

    names: tuple[str, ...]
    kinds: Mapping[str, str]
    required: frozenset[str]
    result: str

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Return the signature written as `(logger: ILogger, flags=) -> INetworkDefinition`."""
        matched = re.fullmatch(r"\((.*)\) -> (.*)", text)
        assert matched, text
        names, kinds, required = [], {}, set()
        for parameter in filter(None, matched[1].split(", ")):
            name, _, kind = parameter.rstrip("=").partition(": ")
            names.append(name)
            if kind:
                kinds[name] = kind
            if not parameter.endswith("="):
                required.add(name)
        return cls(tuple(names), kinds, frozenset(required), matched[2])


@dataclass(frozen=True)
class Member:
    """One name of a class or of the module.

    kind is method, constant, ro, rw, class or callable (without a known signature); result is the class of a constant
    or of a nested class.
    """

    kind: str
    signatures: tuple[Signature, ...] = ()
    result: str = ""


class Version:
    """One version of TensorRT, or of TensorRT for RTX."""

    def __init__(self, name: str) -> None:
        data: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
        self.name = name
        self.number = tuple(int(part) for part in data["version"].split("."))
        self.full_sha256: str = data["full_sha256"]
        self.classes: dict[str, dict[str, Any]] = data["classes"]
        self.functions: dict[str, Any] = data["functions"]

    @property
    def rtx(self) -> bool:
        """Whether this is TensorRT for RTX."""
        return self.name.startswith("rtx-")

    @property
    def module(self) -> str:
        """The name of the module that is imported."""
        return "tensorrt_rtx" if self.rtx else "tensorrt"

    @property
    def order(self) -> tuple[bool, tuple[int, ...]]:
        """What to sort by: TensorRT first, the oldest of each product first."""
        return self.rtx, self.number

    def __str__(self) -> str:
        return in_words([self])

    def member(self, owner: str | None, name: str) -> Member | None:
        """Return what `owner.name` is, or the module's `name` where owner is None; None where it is not there."""
        if name in ALWAYS:
            return Member("ro")
        if owner is None:
            if name in self.classes and "." not in name:
                return Member("class", result=name)
            return _member(name, self.functions[name], "") if name in self.functions else None
        for holder in self.lineage(owner):
            if name in self.classes.get(holder, {}):
                return _member(name, self.classes[holder][name], holder)
        return None

    def lineage(self, name: str) -> Iterator[str]:
        """Give a class and those it inherits from."""
        holder: str | None = name
        while holder is not None:
            yield holder
            holder = BASES.get(holder)


def _member(name: str, value: Any, owner: str) -> Member:
    if isinstance(value, list):
        return Member("method", tuple(Signature.parse(text) for text in value))
    if isinstance(value, int) or value == "enum":
        return Member("constant", result=owner)
    kind, _, result = value.partition(" ")
    return Member(kind, result=result or PROPERTY_TYPES.get((owner, name), ""))


def in_words(some: Iterable[Version]) -> str:
    """Return versions in words: "TensorRT 10.3, 11.4 and TensorRT for RTX 1.7"."""
    names: dict[str, list[str]] = {}
    for version in sorted(some, key=lambda entry: entry.order):
        product = "TensorRT for RTX" if version.rtx else "TensorRT"
        names.setdefault(product, []).append(version.name.removeprefix("rtx-"))
    return " and ".join(f"{product} {', '.join(numbers)}" for product, numbers in names.items())


@functools.cache
def versions() -> tuple[Version, ...]:
    """Return the versions of TensorRT that rtseg claims, oldest first."""
    return tuple(Version(name) for name in VERSIONS)


@functools.cache
def rtx_versions() -> tuple[Version, ...]:
    """Return the versions of TensorRT for RTX that rtseg claims, oldest first."""
    return tuple(Version(name) for name in RTX_VERSIONS)


def every_version() -> tuple[Version, ...]:
    """Return the versions of both products."""
    return (*versions(), *rtx_versions())
