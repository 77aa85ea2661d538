"""Single uses of TensorRT's API, held against each version that can come to them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.contracts.tensorrt_api import Member, Signature, Version, every_version, in_words, rtx_versions, versions
from tests.contracts.tensorrt_types import (
    PLAIN,
    TENSORRT,
    Module,
    Source,
    Type,
    annotated,
    carries_tensorrt,
    joined,
    result_of,
    with_modules,
)

Versions = frozenset[Version]
"""Those that can come to a place in the source."""

OF_MODULE: dict[str, Versions] = {
    "": frozenset(every_version()),
    "tensorrt": frozenset(versions()),
    "tensorrt_rtx": frozenset(rtx_versions()),
}
"""The versions that a module can be of, by its name; without one it is either product's."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong or could not be followed."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class Uses:
    """The uses in one module, and what is found wrong with them."""

    def __init__(self, source: Source, module: Module, found: set[Finding]) -> None:
        self.source, self.module, self.found = source, module, found

    def report(self, node: ast.AST, text: str) -> None:
        """Add a finding."""
        self.found.add(Finding(self.module.path, getattr(node, "lineno", 0), text))

    def not_followed(self, node: ast.AST, why: str) -> Type:
        """Add a finding about something that could not be followed."""
        self.report(node, f"not followed: {why}: {ast.unparse(node).splitlines()[0]}")
        return PLAIN

    def within(self, node: ast.AST, value: Type, at: Versions) -> Versions:
        """Return the versions that are left where a value is: its module's, or those that have its class.

        Report if none is left for a module. A class that no version here has is a matter of what is asked of it.
        """
        if value.kind != "module":
            return frozenset(version for version in at if value.name in version.classes) or at
        left = at & OF_MODULE[value.name]
        if at and not left:
            self.not_followed(node, f"{value.name} where only {in_words(at)} can come")
        return left

    def members(self, node: ast.AST, holder: Type, name: str, at: Versions) -> Iterator[tuple[Version, Member]]:
        """Give what each version has under a name, and report those that have nothing."""
        owner = None if holder.kind == "module" else holder.name
        found = [(version, version.member(owner, name)) for version in self.within(node, holder, at)]
        if lacking := [version for version, member in found if member is None]:
            self.report(node, f"{holder.name or 'tensorrt'}.{name} is not in {in_words(lacking)}")
        for version, member in found:
            if member is not None:
                self.source.touched.add(f"{holder.name or 'tensorrt'}.{name}")
                yield version, member

    def member(self, node: ast.AST, holder: Type, name: str, at: Versions) -> Type:
        """Return the type of a member of TensorRT's, looked up in each version."""
        types = set()
        for _, member in self.members(node, holder, name, at):
            if member.kind == "class":
                types.add(Type("class", member.result))
            elif member.kind == "constant":
                types.add(Type("instance", member.result))
            elif member.kind in ("method", "callable"):
                types.add(Type("method", name, holder))
            elif name.startswith("__"):
                types.add(PLAIN)
            else:
                types.add(Type("instance", member.result) if member.result else Type("opaque", name))
        return joined(*types) if types else PLAIN

    def set_attribute(self, node: ast.AST, holder: Type, name: str, at: Versions) -> None:
        """Check that an attribute is there and may be set."""
        if holder.kind != "instance":
            if holder.kind != "any" or self.module.touches:
                self.not_followed(node, "what is changed")
            return
        for version, member in self.members(node, holder, name, at):
            if member.kind != "rw":
                self.report(node, f"{holder.name}.{name} cannot be set in {version}")

    def api_call(
        self, node: ast.Call, called: Type, given: list[Type], named: dict[str | None, Type], at: Versions
    ) -> Type:
        """Check a call of TensorRT's in each version against its overloads."""
        if any(isinstance(argument, ast.Starred) for argument in node.args) or None in named:
            return self.not_followed(node, "arguments that are not written out")
        if called.kind == "class":
            holder, name, shown = called, "__init__", called.name
        else:
            holder, name, shown = called.of, called.name, f"{called.of.name or 'tensorrt'}.{called.name}"
            if holder.kind == "class":
                given = given[1:]  # called on the class, with self
        results = set()
        owner = None if holder.kind == "module" else holder.name
        for version in sorted(at, key=lambda entry: entry.order):
            member = version.member(owner, name)
            if member is None:
                if called.kind == "class":
                    self.report(node, f"{shown} cannot be made in {version}")
                continue
            if member.kind == "callable":
                results.add("plain")
                continue
            if not member.signatures:
                self.report(node, f"{shown} is not called in {version}")
                continue
            fitting = [entry for entry in member.signatures if self.fits(entry, given, named)]
            if not fitting:
                expected = " or ".join(f"({', '.join(entry.names)})" for entry in member.signatures)
                self.report(node, f"{shown} takes {expected} in {version}: {ast.unparse(node)}")
            results.update(entry.result for entry in fitting)
        if called.kind == "class":
            return Type("instance", called.name)
        return joined(*map(returned, results)) if results else PLAIN

    def fits(self, signature: Signature, given: list[Type], named: dict[str | None, Type]) -> bool:
        """Say whether an overload takes those arguments."""
        if len(given) > len(signature.names):
            return False
        by_name = {**dict(zip(signature.names, given)), **named}
        if len(by_name) != len(given) + len(named) or set(by_name) - set(signature.names):
            return False
        return signature.required <= set(by_name) and all(
            self.is_kind(by_name[name], kind) for name, kind in signature.kinds.items() if name in by_name
        )

    def is_kind(self, value: Type, kind: str) -> bool:
        """Say whether a value may be given where TensorRT asks for a class of its own."""
        if value.kind == "own":
            parent = self.source.tensorrt_base(value.name)
            return parent is not None and self.is_kind(Type("instance", parent), kind)
        if value.kind == "instance":
            return any(kind in version.lineage(value.name) for version in every_version())
        return value.kind != "class"

    def own_call(
        self, node: ast.Call, called: Type, given: list[Type], named: dict[str | None, Type], at: Versions
    ) -> Type:
        """Check that our own function says it takes what TensorRT objects it is given; return what it says."""
        if called.kind == "own_class":
            made = Type("own", called.name)
            found = self.source.lookup(called.name, "__init__")
            if found is None:
                fields = [name for name in self.source.classes[called.name].attributes]
                told = [self.source.classes[called.name].attributes[name] for name in fields]
                for value, kind in zip(given, told):
                    self.escape(node, value, kind, "annotation", at)
                for name, value in named.items():
                    kind = self.source.classes[called.name].attributes.get(name or "", PLAIN)
                    self.escape(node, value, kind, "annotation", at)
                return made
            function, module, _ = found.of
            bound = True
        else:
            made = None
            if called.of is not None:
                function, module, key = called.of
                bound = key is not None and not any(
                    ast.unparse(entry) == "staticmethod" for entry in function.decorator_list
                )
            else:
                function, module = self.source.functions[called.name]
                bound = False
        positional = [*function.args.posonlyargs, *function.args.args][bound:]
        names = with_modules(self.source, function, module, module.names)
        told_of = {
            entry.arg: annotated(self.source, entry.annotation, module, names)
            for entry in [*positional, *function.args.kwonlyargs]
        }
        for entry, value in zip(positional, given):
            self.escape(node, value, told_of[entry.arg], "annotation of the parameter", at)
        for name, value in named.items():
            self.escape(node, value, told_of.get(name or "", PLAIN), "annotation of the parameter", at)
        result = made or result_of(self.source, function, module)
        holder = [Type("own", called.of[2])] if made is None and bound else []
        self.not_refused(node, function, [*holder, *given, *named.values(), result], at)
        return result

    def not_refused(self, node: ast.AST, function: ast.FunctionDef, values: Iterable[Type], at: Versions) -> None:
        """Report that objects of a version may come to, or from, a function of ours that is not for that version."""
        values, refused = list(values), at & self.source.refused.get(function, frozenset())
        for value in values:
            if value.kind == "module":
                refused &= OF_MODULE[value.name]
        if refused and any(carries_tensorrt(self.source, value) for value in values):
            self.report(node, f"{function.name} is not for {in_words(refused)}: {ast.unparse(node)}")

    def handed(self, node: ast.Call, values: Iterable[Type]) -> None:
        """Report objects of TensorRT's that something unknown is given. Numbers and texts of theirs may be."""
        for value in values:
            if value.kind in ("module", "class", "instance", "method") or (
                value.kind == "list" and value.of.kind in TENSORRT
            ):
                if value.kind == "instance" and is_enumeration(value.name):
                    continue
                self.not_followed(node, f"{value.name or 'TensorRT'} is handed on")

    def escape(self, node: ast.AST, value: Type, told: Type, where: str, at: Versions) -> Type:
        """Report an object of TensorRT's where the annotation does not say so."""
        kinds = ("module", "class", "instance", "method", "list")
        if value.kind == "list" and value.of.kind not in TENSORRT:
            return PLAIN
        same = told == value or (told.kind == value.kind == "instance" and self.is_kind(value, told.name))
        if told.kind == value.kind == "module":
            same = at & OF_MODULE[value.name] <= OF_MODULE[told.name]
        if value.kind in kinds and not same and told.kind != "own":
            self.not_followed(node, f"the {where} does not say {value.name or value.of or 'TensorRT'}")
        return PLAIN


def is_enumeration(name: str) -> bool:
    """Say whether a class of TensorRT's is one of named numbers, of which there is nothing to get wrong."""
    return any(version.member(name, "__init__") and is_numbered(version, name) for version in every_version())


def is_numbered(version: Version, name: str) -> bool:
    """Say whether a class has members that are numbers."""
    return any(isinstance(value, int) for value in version.classes[name].values())


def returned(result: str) -> Type:
    """Return the type that a signature tells of what comes back."""
    if result in ("plain", "list"):
        return PLAIN
    if result == "?":
        return Type("opaque", "of an unknown class")
    if result.startswith("list["):
        return Type("list", of=returned(result[5:-1]))
    return Type("instance", result)
