"""Follow every use of TensorRT through Python source, and hold it against the API of each version.

Values are followed by simple types: the module, its classes, their instances, our own classes and functions by their
annotations. What a version lacks may be used where the source has asked for it, and only in one of these ways:

    if hasattr(x, "name"): ...            the versions that have it; `not`, `and`, `or`, else and early returns too
    getattr(x, "name", default)           x.name where it is
    if tensorrt_version() >= (10, 0):     rtseg.runners.tensorrt.release; all six comparisons

A branch is checked for the versions that can come to it, so a question about one name answers for others that the same
versions have. What cannot be followed is a finding too: `Any`, a property whose class is not known, an object of
TensorRT's handed to something else.

A place is checked against all versions of both products, TensorRT and TensorRT for RTX, unless a name there stands for
the module of one; it is then that product's alone:

    import tensorrt as trt                what follows it; so for tensorrt_rtx
    trt = load_tensorrt(RTX, ...)         what follows it; so for TENSORRT, and for a call of what returns TensorRtRtx
    def f(trt: TensorRtRtx): ...          the function
    self.api: TensorRtRtx                 the methods of the class; so for such a parameter of its __init__

A module that is annotated TensorRt says nothing about the product, nor does an annotation like trt.IBuilderConfig, but
for this: what an object is asked for, it is asked for in the versions that have its class. Two modules in one place
that may be of two products are a finding, and so is a call through which objects of one product may come to, or from, a
function that is for the other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from tests.contracts.tensorrt_expressions import Expressions
from tests.contracts.tensorrt_types import (
    ANY,
    PLAIN,
    Source,
    Type,
    annotated,
    imported,
    joined,
    listed,
    parameters,
    with_modules,
)
from tests.contracts.tensorrt_uses import OF_MODULE, Finding, Versions

EVERY = OF_MODULE[""]


def findings(source: Source) -> list[Finding]:
    """Return what is wrong or could not be followed.

    Attributes of our classes, and what our functions are for, are learned in the walks before the last.
    """
    for _ in range(3):
        found: set[Finding] = set()
        for module in source.modules.values():
            Walk(source, module, found).module_body()
    return sorted(found)


def merge(names: dict[str, Type], *sides: dict[str, Type]) -> None:
    """Let names stand for what they may after any of several ways."""
    for name in {name for side in sides for name in side}:
        names[name] = joined(*{side[name] for side in sides if name in side})


class Walk(Expressions):
    """One walk over one module. Each statement returns the versions that can come past it."""

    left: Versions = frozenset()
    """The versions that can leave the function that is walked, by return or raise."""

    elsewhere: Versions = frozenset()
    """The versions of which there are no objects of the class that is walked, for the module that it keeps."""

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
            bound = imported(self.source, node)
            names.update(bound)
            return self.bound(node, bound.values(), names, at)
        elif isinstance(node, ast.Assign):
            value = self.value(node.value, names, at)
            for target in node.targets:
                self.assign(target, value, names, at)
            return self.bound(node, [value], names, at)
        elif isinstance(node, ast.AnnAssign):
            value = self.value(node.value, names, at) if node.value else PLAIN
            told = annotated(self.source, node.annotation, self.module, names)
            self.escape(node, value, told, "annotation", at)
            value = told if told.kind not in ("plain", "any") else value
            self.assign(node.target, value, names, at)
            return self.bound(node, [value], names, at)
        elif isinstance(node, ast.AugAssign):
            self.value(node.value, names, at)
            self.assign(node.target, PLAIN, names, at)
        elif isinstance(node, ast.Return):
            if node.value is not None:
                value = self.value(node.value, names, at)
                self.escape(node, value, self.returns, "annotation of what is returned", at)
            self.left |= at
            return frozenset()
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            before, element = dict(names), self.element(self.value(node.iter, names, at))
            self.assign(node.target, element, names, at)
            self.block(node.body, names, at)
            merge(names, before, names)
            self.block(node.orelse, names, at)
        elif isinstance(node, ast.While):
            before, (inside, outside) = dict(names), self.condition(node.test, names, at)
            self.block(node.body, names, inside)
            merge(names, before, names)
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
            return self.attempt(node, names, at)
        elif isinstance(node, ast.Raise):
            for part in filter(None, (node.exc, node.cause)):
                self.value(part, names, at)
            self.left |= at
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
        merge(names, *(side for side, past in ((taken, past_yes), (other, past_no)) if past))
        return past_yes | past_no

    def attempt(self, node: ast.Try, names: dict[str, Type], at: Versions) -> Versions:
        """Check a try, and what is done where it fails, which may be anywhere in it."""
        before, failed = dict(names), dict(names)
        past = self.block(node.orelse, names, self.block(node.body, names, at))
        merge(failed, before, names)
        ends = [dict(names)] if past else []
        for handler in node.handlers:
            side = {**failed, **({handler.name: PLAIN} if handler.name else {})}
            if handled := self.block(handler.body, side, at):
                ends.append(side)
            past |= handled
        merge(names, *ends)
        self.block(node.finalbody, names, at)
        return past

    def bound(self, node: ast.AST, values: Iterable[Type], names: dict[str, Type], at: Versions) -> Versions:
        """Return the versions that are left where names stand for such values: for one product's module, its own."""
        for value in values:
            if value.kind == "module" and value.name:
                at = self.within(node, value, at)
                if any(found.kind == "module" and found.name != value.name for found in names.values()):
                    self.not_followed(node, f"{value.name} beside another module of TensorRT")
        return at

    def function(self, node: Any, names: dict[str, Type], at: Versions, own: str | None = None) -> None:
        """Check a function's body, its parameters being what their annotations say."""
        outer = self.returns, self.left
        told = with_modules(self.source, node, self.module, names)
        self.returns, self.left = annotated(self.source, node.returns, self.module, told), frozenset()
        for decorator in node.decorator_list:
            self.value(decorator, names, at)
        every = parameters(node)
        for default in filter(None, [*node.args.defaults, *node.args.kw_defaults]):
            self.value(default, names, at)
        for argument in every:
            names[argument.arg] = annotated(self.source, argument.annotation, self.module, told)
            if argument.annotation is None:
                names[argument.arg] = ANY
        for argument in filter(None, (node.args.vararg, node.args.kwarg)):
            names[argument.arg] = listed(annotated(self.source, argument.annotation, self.module, told))
        at = self.bound(node, [names[argument.arg] for argument in every], names, at)
        if own and every and every[0].arg == "self":
            names["self"] = Type("own", own)
        elif own and every and every[0].arg == "cls":
            names["cls"] = Type("own_class", own)
        past = self.block(node.body, names, at)
        self.source.refused[node] = EVERY - past - self.left - self.elsewhere
        self.returns, self.left = outer

    def class_body(self, node: ast.ClassDef, names: dict[str, Type], at: Versions) -> None:
        """Check a class: its bases, what it overrides of TensorRT's, its methods."""
        key = f"{self.module.name}.{node.name}"
        names[node.name] = Type("own_class", key)
        entry = self.source.classes[key]
        entry.bases = [annotated(self.source, base, self.module, names) for base in node.bases]
        for base in node.bases:
            self.value(base, names, at)
        parent = self.source.tensorrt_base(key)
        before, outer = at, self.elsewhere
        if len(self.source.modules_of(key)) > 1:
            self.not_followed(node, "a class that keeps two modules of TensorRT")
        for name in self.source.modules_kept(key):
            at = self.within(node, Type("module", name), at)
        self.elsewhere = before - at
        for statement in node.body:
            if not isinstance(statement, ast.FunctionDef):
                self.statement(statement, dict(names), at)
                continue
            if parent is not None and not statement.name.startswith("__"):
                self.override(statement, parent, at)
            self.function(statement, dict(names), at, key)
        self.elsewhere = outer

    def override(self, node: ast.FunctionDef, parent: str, at: Versions) -> None:
        """Check that a method which replaces one of TensorRT's can be called as TensorRT calls it."""
        for version in at:
            member = version.member(parent, node.name)
            if member is not None and member.signatures:
                expected = len(member.signatures[0].names)
                if len(node.args.args) - 1 != expected:
                    self.report(node, f"{parent}.{node.name} is called with {expected} arguments")
