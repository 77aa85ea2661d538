"""What is known of a value in source that uses TensorRT, and the modules, classes and functions that are ours."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Type(NamedTuple):
    """What is known of a value.

    kind is plain (nothing of TensorRT's), module, class, instance, method, list (of `of`), own_class, own (an instance
    of our class), own_function, guard (a boolean that tells versions apart), any, or opaque (TensorRT's, its class not
    known).
    """

    kind: str
    name: str = ""
    of: Any = None


PLAIN = Type("plain")
ANY = Type("any")
TENSORRT = ("module", "class", "instance", "method", "opaque")
CONTAINERS = frozenset({"list", "List", "Sequence", "Iterable", "Iterator", "Collection", "set", "frozenset", "deque"})
MAPPINGS = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict"})


@dataclass(eq=False)
class Class:
    """One of our own classes."""

    node: ast.ClassDef
    module: Module
    bases: list[Type] = field(default_factory=list)
    attributes: dict[str, Type] = field(default_factory=dict)
    methods: dict[str, ast.FunctionDef] = field(default_factory=dict)


@dataclass(eq=False)
class Module:
    """One of our own files."""

    name: str
    path: str
    tree: ast.Module
    names: dict[str, Type] = field(default_factory=dict)
    touches: bool = False


class Source:
    """A set of modules that may call one another."""

    def __init__(self, texts: dict[str, str]) -> None:
        """Take source by dotted module name."""
        self.modules = {name: Module(name, name, ast.parse(text)) for name, text in texts.items()}
        self.classes: dict[str, Class] = {}
        self.functions: dict[str, tuple[ast.FunctionDef, Module]] = {}
        self.touched: set[str] = set()
        for module in self.modules.values():
            self._declare(module)
        for key, entry in self.classes.items():
            entry.bases = [annotated(self, base, entry.module, entry.module.names) for base in entry.node.bases]
            entry.attributes |= self._declared_attributes(key, entry)

    @classmethod
    def below(cls, package: Path) -> Source:
        """Take every file of a package."""
        files = {
            ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
            for path in sorted(package.rglob("*.py"))
        }
        source = cls({name: path.read_text(encoding="utf-8") for name, path in files.items()})
        for name, path in files.items():
            source.modules[name].path = str(path.relative_to(package.parent))
        return source

    def _declare(self, module: Module) -> None:
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module.names.update(imported(self, node))
                module.touches |= any(name.split(".")[0] == "tensorrt" for name in imported_names(node))
            elif isinstance(node, ast.ClassDef):
                key = f"{module.name}.{node.name}"
                methods = {entry.name: entry for entry in node.body if isinstance(entry, ast.FunctionDef)}
                self.classes[key] = Class(node, module, methods=methods)
                module.names[node.name] = Type("own_class", key)
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef):
                key = f"{module.name}.{node.name}"
                self.functions[key] = (node, module)
                module.names[node.name] = Type("own_function", key)

    def _declared_attributes(self, key: str, entry: Class) -> dict[str, Type]:
        declared = {}
        for node in ast.walk(entry.node):
            if isinstance(node, ast.AnnAssign):
                name = attribute_of_self(node.target) or (node.target.id if isinstance(node.target, ast.Name) else "")
                if name:
                    declared[name] = annotated(self, node.annotation, entry.module, entry.module.names)
        return declared

    def lookup(self, key: str, name: str) -> Type | None:
        """Return what an instance of our class has under a name; None where neither it nor a base of ours has it."""
        entry = self.classes[key]
        if name in entry.methods:
            return Type("own_function", f"{key}.{name}", (entry.methods[name], entry.module, key))
        if name in entry.attributes:
            return entry.attributes[name]
        for base in entry.bases:
            if base.kind == "own" and (found := self.lookup(base.name, name)) is not None:
                return found
        return None

    def tensorrt_base(self, key: str) -> str | None:
        """Return the class of TensorRT that our class inherits from."""
        for base in self.classes[key].bases:
            if base.kind == "instance":
                return base.name
            if base.kind == "own" and (found := self.tensorrt_base(base.name)):
                return found
        return None


def imported_names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the dotted names of what is imported."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]


def imported(source: Source, node: ast.Import | ast.ImportFrom) -> dict[str, Type]:
    """Return the names that an import binds."""
    bound = {}
    for alias, dotted in zip(node.names, imported_names(node)):
        shown = alias.asname or (dotted.split(".")[0] if isinstance(node, ast.Import) else alias.name)
        if dotted == "tensorrt" or (dotted.startswith("tensorrt.") and isinstance(node, ast.Import)):
            bound[shown] = Type("module")
        elif dotted.startswith("tensorrt."):
            bound[shown] = Type("class", dotted.partition(".")[2])
        elif dotted.split(".")[0] == "rtseg":
            bound[shown] = Type("reference", dotted)
        else:
            bound[shown] = PLAIN
    return bound


def attribute_of_self(node: ast.AST) -> str:
    """Return NAME of `self.NAME`, else nothing."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return node.attr
    return ""


def resolved(source: Source, found: Type) -> Type:
    """Return what a name imported from another of our modules stands for."""
    for _ in range(4):
        if found.kind != "reference":
            return found
        holder, _, name = found.name.rpartition(".")
        if found.name in source.modules:
            return Type("own_module", found.name)
        found = source.modules[holder].names.get(name, PLAIN) if holder in source.modules else PLAIN
    return PLAIN


def annotated(source: Source, node: ast.AST | None, module: Module, names: dict[str, Type]) -> Type:
    """Return the type that an annotation, or a base class, tells of an instance."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.Name):
        if node.id in ("Any", "object"):
            return ANY
        found = resolved(source, names.get(node.id, module.names.get(node.id, PLAIN)))
        return {"own_class": Type("own", found.name), "class": Type("instance", found.name)}.get(found.kind, PLAIN)
    if isinstance(node, ast.Attribute):
        parts = ast.unparse(node).split(".")
        found = resolved(source, names.get(parts[0], module.names.get(parts[0], PLAIN)))
        if found.kind == "module":
            return Type("instance", ".".join(parts[1:]))
        if found.kind == "own_module":
            return annotated(source, ast.Name(parts[-1]), source.modules[found.name], {})
        return PLAIN
    if isinstance(node, ast.BinOp):
        return joined(annotated(source, node.left, module, names), annotated(source, node.right, module, names))
    if isinstance(node, ast.Subscript):
        holder = ast.unparse(node.value).split(".")[-1]
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        inner = [annotated(source, argument, module, names) for argument in arguments]
        if holder in ("Optional", "Union"):
            return joined(*inner)
        if holder in MAPPINGS:
            return listed(inner[-1])
        if holder in CONTAINERS or holder in ("tuple", "Tuple"):
            return listed(joined(*inner))
        if holder in ("type", "Type") and inner[0].kind == "instance":
            return Type("class", inner[0].name)
    return PLAIN


def listed(element: Type) -> Type:
    """Return the type of a container of such elements; of a mapping, its values."""
    return PLAIN if element.kind in ("plain", "any") else Type("list", of=element)


def joined(*types: Type) -> Type:
    """Return the type of a value that is one of several."""
    left = {entry for entry in types if entry.kind not in ("plain", "any", "guard")}
    if not left:
        return ANY if any(entry.kind == "any" for entry in types) else PLAIN
    if len(left) == 1:
        return left.pop()
    return Type("opaque", "of several types") if any(concerns_tensorrt(entry) for entry in left) else PLAIN


def concerns_tensorrt(value: Type) -> bool:
    """Say whether a value is TensorRT's, or a container of such."""
    return value.kind in TENSORRT or (value.kind == "list" and concerns_tensorrt(value.of))


def is_property(function: ast.FunctionDef) -> bool:
    """Say whether a method of ours is read like an attribute."""
    return any(ast.unparse(entry).endswith("property") for entry in function.decorator_list)
