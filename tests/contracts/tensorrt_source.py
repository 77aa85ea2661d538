"""Follow every use of TensorRT through Python source, and hold it against the API of each version.

Values are followed by simple types: the module, its classes, their instances, our own classes and functions by their
annotations. What a version lacks may be used where the source has asked for it, and only in one of these ways:

    if hasattr(x, "name"): ...            the versions that have it; `not`, `and`, `or`, else and early returns too
    getattr(x, "name", default)           x.name where it is
    if tensorrt_version() >= (10, 0):     rtseg.engines.features; all six comparisons

A branch is checked for the versions that can come to it, so a question about one name answers for others that the same
versions have. What cannot be followed is a finding too: `Any`, a property whose class is not known, an object of
TensorRT's handed to something else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from tensorrt_api import versions
from tensorrt_expressions import Expressions
from tensorrt_types import ANY, PLAIN, Source, Type, annotated, imported, joined, listed
from tensorrt_uses import Finding, Versions

EVERY: Versions = frozenset(versions())


def findings(source: Source) -> list[Finding]:
    """Return what is wrong or could not be followed. Attributes of our classes are learned in a first walk."""
    for _ in range(2):
        found: set[Finding] = set()
        for module in source.modules.values():
            Walk(source, module, found).module_body()
    return sorted(found)


class Walk(Expressions):
    """One walk over one module. Each statement returns the versions that can come past it."""

    def module_body(self) -> None:
        """Check everything in the module."""
        bound = {name: found for name, found in self.module.names.items() if found.kind not in ("module", "class")}
        self.block(self.module.tree.body, bound, EVERY)

    def block(self, body: Iterable[ast.stmt], names: dict[str, Type], at: Versions) -> Versions:
        """Check statements one after the other, and return the versions that come past the last."""
        for statement in body:
            if not at:
                return at
            at = self.statement(statement, names, at)
        return at

    def statement(self, node: ast.stmt, names: dict[str, Type], at: Versions) -> Versions:
        """Check one statement."""
        if isinstance(node, ast.If):
            return self.branch(node, names, at)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names[node.name] = Type("own_function", node.name, (node, self.module, None))
            self.function(node, dict(names), at)
        elif isinstance(node, ast.ClassDef):
            self.class_body(node, names, at)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(imported(self.source, node))
        elif isinstance(node, ast.Assign):
            value = self.value(node.value, names, at)
            for target in node.targets:
                self.assign(target, value, names, at)
        elif isinstance(node, ast.AnnAssign):
            value = self.value(node.value, names, at) if node.value else PLAIN
            told = annotated(self.source, node.annotation, self.module, names)
            self.escape(node, value, told, "annotation")
            self.assign(node.target, told if told.kind not in ("plain", "any") else value, names, at)
        elif isinstance(node, ast.AugAssign):
            self.value(node.value, names, at)
            self.assign(node.target, PLAIN, names, at)
        elif isinstance(node, ast.Return):
            if node.value is not None:
                self.escape(node, self.value(node.value, names, at), self.returns, "annotation of what is returned")
            return frozenset()
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self.assign(node.target, self.element(self.value(node.iter, names, at)), names, at)
            self.block(node.body, names, at)
            self.block(node.orelse, names, at)
        elif isinstance(node, ast.While):
            inside, outside = self.condition(node.test, names, at)
            self.block(node.body, names, inside)
            return outside or at
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                entered = self.value(item.context_expr, names, at)
                if entered.kind == "instance":
                    self.report(node, f"{entered.name} as a context manager is deprecated and does nothing")
                if item.optional_vars is not None:
                    self.assign(item.optional_vars, self.entered(entered), names, at)
            return self.block(node.body, names, at)
        elif isinstance(node, ast.Try):
            past = self.block(node.body, names, at)
            past = self.block(node.orelse, names, past)
            for handler in node.handlers:
                if handler.name:
                    names[handler.name] = PLAIN
                past |= self.block(handler.body, names, at)
            self.block(node.finalbody, names, at)
            return past
        elif isinstance(node, ast.Raise):
            for part in filter(None, (node.exc, node.cause)):
                self.value(part, names, at)
            return frozenset()
        elif isinstance(node, (ast.Continue, ast.Break)):
            return frozenset()
        elif isinstance(node, ast.Assert):
            return self.condition(node.test, names, at)[0]
        elif isinstance(node, ast.Expr):
            self.value(node.value, names, at)
        elif isinstance(node, ast.Delete):
            for deleted in node.targets:
                self.value(deleted, names, at)
        return at

    def branch(self, node: ast.If, names: dict[str, Type], at: Versions) -> Versions:
        """Check an if for the versions that come to each side of it."""
        yes, no = self.condition(node.test, names, at)
        taken, other = dict(names), dict(names)
        past_yes, past_no = self.block(node.body, taken, yes), self.block(node.orelse, other, no)
        for name in {*taken, *other}:
            sides = [side[name] for side, past in ((taken, past_yes), (other, past_no)) if past and name in side]
            if sides:
                names[name] = sides[0] if len(set(sides)) == 1 else joined(*sides)
        return past_yes | past_no

    def function(self, node: Any, names: dict[str, Type], at: Versions, own: str | None = None) -> None:
        """Check a function's body, its parameters being what their annotations say."""
        outer, self.returns = self.returns, annotated(self.source, node.returns, self.module, names)
        for decorator in node.decorator_list:
            self.value(decorator, names, at)
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for default in filter(None, [*node.args.defaults, *node.args.kw_defaults]):
            self.value(default, names, at)
        for argument in every:
            names[argument.arg] = annotated(self.source, argument.annotation, self.module, names)
            if argument.annotation is None:
                names[argument.arg] = ANY
        for argument in filter(None, (node.args.vararg, node.args.kwarg)):
            names[argument.arg] = listed(annotated(self.source, argument.annotation, self.module, names))
        if own and every and every[0].arg == "self":
            names["self"] = Type("own", own)
        elif own and every and every[0].arg == "cls":
            names["cls"] = Type("own_class", own)
        self.block(node.body, names, at)
        self.returns = outer

    def class_body(self, node: ast.ClassDef, names: dict[str, Type], at: Versions) -> None:
        """Check a class: its bases, what it overrides of TensorRT's, its methods."""
        key = f"{self.module.name}.{node.name}"
        names[node.name] = Type("own_class", key)
        entry = self.source.classes[key]
        entry.bases = [annotated(self.source, base, self.module, names) for base in node.bases]
        for base in node.bases:
            self.value(base, names, at)
        parent = self.source.tensorrt_base(key)
        for statement in node.body:
            if not isinstance(statement, ast.FunctionDef):
                self.statement(statement, dict(names), at)
                continue
            if parent is not None and not statement.name.startswith("__"):
                self.override(statement, parent, at)
            self.function(statement, dict(names), at, key)

    def override(self, node: ast.FunctionDef, parent: str, at: Versions) -> None:
        """Check that a method which replaces one of TensorRT's can be called as TensorRT calls it."""
        for version in at:
            member = version.member(parent, node.name)
            if member is not None and member.signatures:
                expected = len(member.signatures[0].names)
                if len(node.args.args) - 1 != expected:
                    self.report(node, f"{parent}.{node.name} is called with {expected} arguments")
