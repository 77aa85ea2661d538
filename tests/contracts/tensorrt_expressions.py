"""Expressions: the type of each value, and the versions that a condition lets through."""

from __future__ import annotations

import ast
import operator
from typing import Any, Callable

from tests.contracts.tensorrt_api import every_version
from tests.contracts.tensorrt_types import (
    ANY,
    LOADER,
    PLAIN,
    RUNTIMES,
    TENSORRT,
    Type,
    annotated,
    is_property,
    joined,
    listed,
    resolved,
    result_of,
)
from tests.contracts.tensorrt_uses import Uses, Versions

VERSION_FUNCTION = "tensorrt_version"
COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
TAKES_ANYTHING = frozenset(
    {
        *("bool", "bytes", "callable", "enumerate", "id", "int", "isinstance", "issubclass", "iter", "len"),
        *("list", "max", "memoryview", "min", "next", "print", "range", "repr", "reversed", "sorted", "str", "super"),
        *("tuple", "type", "vars", "zip"),
    }
)
"""Builtins that may be given an object of TensorRT's: what they return is followed, or is nothing of TensorRT's."""
ELEMENTS = frozenset({"list", "tuple", "sorted", "reversed", "iter"})


class Expressions(Uses):
    """The expressions of one module."""

    returns: Type = PLAIN
    """What the function that is walked says it returns."""

    def value(self, node: ast.expr, names: dict[str, Type], at: Versions) -> Type:
        """Check an expression and return the type of its value."""
        if isinstance(node, ast.Name):
            if node.id not in names and self.module.names.get(node.id, PLAIN).kind in ("module", "class"):
                self.report(node, f"{node.id} is not imported where it is used")
                return self.module.names[node.id]
            return resolved(self.source, names.get(node.id, PLAIN))
        if isinstance(node, ast.Attribute):
            return self.attribute(node, self.value(node.value, names, at), at)
        if isinstance(node, ast.Call):
            return self.call(node, names, at)
        if isinstance(node, ast.IfExp):
            yes, no = self.condition(node.test, names, at)
            sides = [self.value(side, names, to) for side, to in ((node.body, yes), (node.orelse, no)) if to]
            return joined(*sides)
        if isinstance(node, ast.BoolOp):
            return self.choice(node, names, at)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return told_apart(*self.condition(node, names, at))
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return listed(joined(*[self.value(part, names, at) for part in node.elts]))
        if isinstance(node, ast.Dict):
            for key in filter(None, node.keys):
                self.value(key, names, at)
            return listed(joined(*[self.value(part, names, at) for part in node.values]))
        if isinstance(node, ast.Subscript):
            self.value(node.slice, names, at)
            return self.element(self.value(node.value, names, at))
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            return self.comprehension(node, dict(names), at)
        if isinstance(node, ast.NamedExpr):
            value = self.value(node.value, names, at)
            self.assign(node.target, value, names, at)
            return value
        if isinstance(node, ast.Starred):
            return self.element(self.value(node.value, names, at))
        if isinstance(node, ast.Lambda):
            inner = {**names, **{argument.arg: ANY for argument in node.args.args}}
            return self.escape(node, self.value(node.body, inner, at), PLAIN, "what a lambda returns", at)
        if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)) and node.value is not None:
            value = self.value(node.value, names, at)
            self.escape(node, value, self.element(self.returns), "annotation of what is given", at)
            return PLAIN
        if isinstance(node, ast.Compare) and (bounds := self.version_bounds(node, at)) is not None:
            return told_apart(*bounds)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, names, at)
        return PLAIN

    def attribute(self, node: ast.Attribute, holder: Type, at: Versions) -> Type:
        """Return the type of `holder.name`."""
        name = node.attr
        if holder.kind == "own":
            known = self.source.lookup(holder.name, name)
            parent = self.source.tensorrt_base(holder.name)
            inherited = known is None and parent is not None and not name.startswith("__")
            if inherited and any(version.member(parent, name) for version in every_version()):
                return self.member(node, Type("instance", parent), name, at)
            if known is not None and known.kind == "own_function" and known.of and is_property(known.of[0]):
                result = result_of(self.source, known.of[0], known.of[1])
                self.not_refused(node, known.of[0], [holder, result], at)
                return result
            return known or PLAIN
        if holder.kind == "own_class":
            return self.source.lookup(holder.name, name) or PLAIN
        if holder.kind == "own_module":
            return resolved(self.source, self.source.modules[holder.name].names.get(name, PLAIN))
        if holder.kind == "any":
            return self.not_followed(node, "a value of any type") if self.module.touches else PLAIN
        if holder.kind in ("opaque", "method"):
            return self.not_followed(node, "a value of TensorRT's whose class is not known")
        if holder.kind == "list":
            return Type("list_method", name, holder.of)
        return self.member(node, holder, name, at) if holder.kind in TENSORRT else PLAIN

    def call(self, node: ast.Call, names: dict[str, Type], at: Versions) -> Type:
        """Check a call and return the type of what comes back."""
        word = node.func.id if isinstance(node.func, ast.Name) and node.func.id not in names else ""
        if word in ("hasattr", "getattr", "setattr"):
            return self.by_name(word, node, names, at)
        called = self.value(node.func, names, at)
        if called == PLAIN and ast.unparse(node.func) in ("cast", "typing.cast"):
            told = annotated(self.source, node.args[0], self.module, names)
            self.escape(node, self.value(node.args[1], names, at), told, "annotation", at)
            return told
        given = [self.value(argument, names, at) for argument in node.args]
        named = {keyword.arg: self.value(keyword.value, names, at) for keyword in node.keywords}
        if called.kind in ("class", "method"):
            return self.api_call(node, called, given, named, at)
        if called.kind == "opaque":
            return self.not_followed(node, "a property of TensorRT's is called")
        if called.kind in ("own_class", "own_function"):
            result = self.own_call(node, called, given, named, at)
            return Type("module", self.loaded(node, names)) if called.name == LOADER else result
        if called.kind == "list_method":
            self.handed(node, [value for value in given if value != called.of])
            return called.of if called.name in ("pop", "get", "popleft") else listed(called.of)
        if word == "super" and (found := names.get("self", PLAIN)).kind == "own":
            return next((base for base in self.source.classes[found.name].bases if base.kind == "own"), PLAIN)
        if word in TAKES_ANYTHING:
            return given[0] if word in ELEMENTS and given and given[0].kind == "list" else PLAIN
        if ast.unparse(node.func) == "super" or called.kind == "any":
            return PLAIN
        self.handed(node, [*given, *named.values()])
        return PLAIN

    def loaded(self, node: ast.Call, names: dict[str, Type]) -> str:
        """Return the name of the module that `load_tensorrt(RTX, ...)` gives, nothing where it may be either."""
        runtime = node.args[0] if node.args else node
        constant = names.get(runtime.id, PLAIN) if isinstance(runtime, ast.Name) else PLAIN
        return RUNTIMES.get(constant.name, "")

    def by_name(self, word: str, node: ast.Call, names: dict[str, Type], at: Versions) -> Type:
        """Check hasattr, getattr and setattr."""
        holder = self.value(node.args[0], names, at)
        for argument in node.args[1:]:
            self.value(argument, names, at)
        if holder.kind == "own" and (parent := self.source.tensorrt_base(holder.name)):
            holder = Type("instance", parent)
        if holder.kind in ("opaque", "method") or (holder.kind == "any" and self.module.touches):
            return self.not_followed(node, "what is asked")
        if holder.kind not in TENSORRT:
            return PLAIN
        if not (isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str)):
            return self.not_followed(node, "a name that is not written out")
        name = node.args[1].value
        if word == "setattr":
            self.set_attribute(node, holder, name, at)
            return PLAIN
        owner = None if holder.kind == "module" else holder.name
        having = frozenset(version for version in self.within(node, holder, at) if version.member(owner, name))
        if not any(version.member(owner, name) for version in every_version()):
            self.report(node, f"{holder.name or 'tensorrt'}.{name} is in no version of TensorRT")
        if word == "hasattr":
            return Type("guard", of=having)
        return self.member(node, holder, name, having if len(node.args) == 3 else at)

    def condition(self, node: ast.expr, names: dict[str, Type], at: Versions) -> tuple[Versions, Versions]:
        """Check a condition; return the versions for which it may be true, and those for which it may be false."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yes, no = self.condition(node.operand, names, at)
            return no, yes
        if isinstance(node, ast.BoolOp):
            conjunction = isinstance(node.op, ast.And)
            through, out = at, frozenset()
            for part in node.values:
                yes, no = self.condition(part, names, through)
                through, out = (yes, out | no) if conjunction else (no, out | yes)
            return (through, out) if conjunction else (out, through)
        if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING":
            return frozenset(), at
        if (bounds := self.version_bounds(node, at)) is not None:
            return bounds
        value = self.value(node, names, at)
        return (at & value.of, at - value.of) if value.kind == "guard" else (at, at)

    def version_bounds(self, node: ast.expr, at: Versions) -> tuple[Versions, Versions] | None:
        """Return the versions on both sides of `tensorrt_version() >= (10, 0)`; None for another expression.

        It tells the version of TensorRT, and nothing about an installed TensorRT for RTX.
        """
        if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.left, ast.Call)):
            return None
        if ast.unparse(node.left.func).split(".")[-1] != VERSION_FUNCTION:
            return None
        holds, bound = COMPARISONS[type(node.ops[0])], ast.literal_eval(node.comparators[0])
        yes = frozenset(version for version in at if version.rtx or holds(version.number[:2], bound))
        return yes, frozenset(version for version in at if version.rtx or version not in yes)

    def choice(self, node: ast.BoolOp, names: dict[str, Type], at: Versions) -> Type:
        """Check `and` and `or`, where a part may ask for what the next uses."""
        if any(isinstance(part, ast.Call) and ast.unparse(part.func) == "hasattr" for part in ast.walk(node)):
            yes, no = self.condition(node, names, at)
            return told_apart(yes, no)
        return joined(*[self.value(part, names, at) for part in node.values])

    def comprehension(self, node: Any, names: dict[str, Type], at: Versions) -> Type:
        """Check a comprehension; return the type of what it gives."""
        for generator in node.generators:
            self.assign(generator.target, self.element(self.value(generator.iter, names, at)), names, at)
            for test in generator.ifs:
                at = self.condition(test, names, at)[0]
        if isinstance(node, ast.DictComp):
            self.value(node.key, names, at)
            return listed(self.value(node.value, names, at))
        return listed(self.value(node.elt, names, at))

    def assign(self, target: ast.expr, value: Type, names: dict[str, Type], at: Versions) -> None:
        """Bind a name, or check that an attribute may be set."""
        if isinstance(target, ast.Name):
            if names.get(target.id, PLAIN).kind != "module_annotation":
                names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self.assign(part, self.element(value), names, at)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, names, at)
        elif isinstance(target, ast.Attribute):
            holder = self.value(target.value, names, at)
            if holder.kind == "own":
                self.learn(target, holder.name, value, at)
            elif holder.kind in (*TENSORRT, "any"):
                self.set_attribute(target, holder, target.attr, at)
        elif isinstance(target, ast.Subscript):
            holder = self.value(target.value, names, at)
            self.value(target.slice, names, at)
            if value.kind in TENSORRT and holder != Type("list", of=value):
                self.not_followed(target, "an object of TensorRT's put into a container of something else")

    def learn(self, target: ast.Attribute, key: str, value: Type, at: Versions) -> None:
        """Remember the type of an attribute of our own class, or check the one it is annotated with."""
        entry = self.source.classes[key]
        known = self.source.lookup(key, target.attr)
        parent = self.source.tensorrt_base(key)
        if known is None and parent is not None and any(v.member(parent, target.attr) for v in at):
            self.set_attribute(target, Type("instance", parent), target.attr, at)
        elif known is None:
            entry.attributes[target.attr] = value
        else:
            self.escape(target, value, known, "annotation", at)
            entry.attributes[target.attr] = joined(known, value)

    def entered(self, context: Type) -> Type:
        """Return the type of what a context manager gives."""
        if context.kind == "own" and (found := self.source.lookup(context.name, "__enter__")) is not None:
            function, module, _ = found.of
            return result_of(self.source, function, module)
        return self.element(context)

    def element(self, container: Type) -> Type:
        """Return the type of what a container holds."""
        if container.kind == "list":
            return container.of  # type: ignore[no-any-return]
        return Type("opaque", "of TensorRT's") if container.kind in ("instance", "opaque") else PLAIN


def told_apart(yes: Versions, no: Versions) -> Type:
    """Return the type of a condition that is true for some versions and false for the others, or tells nothing."""
    return PLAIN if yes & no else Type("guard", of=yes)
