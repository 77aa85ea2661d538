"""What is known of a value in source that uses TensorRT, and the modules, classes and functions that are ours."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Type(NamedTuple):
    """What is known of a value.

    kind is plain (nothing of TensorRT's), module (tensorrt or tensorrt_rtx by its name, either without one), class,
    instance, method, list (of `of`), own_class, own (an instance of our class), own_function, guard (a boolean that
    tells versions apart), module_annotation (what annotates a module), any, or opaque (TensorRT's, of a class that is
    not known).
    """

    kind: str
    name: str = ""
    of: Any = None


PLAIN = Type("plain")
ANY = Type("any")
TENSORRT = ("module", "class", "instance", "method", "opaque")
CONTAINERS = frozenset({"list", "List", "Sequence", "Iterable", "Iterator", "Collection", "set", "frozenset", "deque"})
MAPPINGS = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict"})
PACKAGES = ("tensorrt", "tensorrt_rtx")
ANNOTATIONS_OF_MODULES = {"rtseg.runners.tensorrt.module": {"TensorRt": "", "TensorRtRtx": "tensorrt_rtx"}}
"""By our module that has it, what a parameter says that is given a module: either product's, or TensorRT for RTX's."""

LOADER = "rtseg.runners.tensorrt.module.load_tensorrt"
RUNTIMES = {"rtseg.runners.tensorrt.module.TENSORRT": "tensorrt", "rtseg.runners.tensorrt.module.RTX": "tensorrt_rtx"}
"""Our function that loads a module, and the constants that it is given for one product's."""


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
        self.refused: dict[ast.AST, frozenset[Any]] = {}
        """Of each function the versions that it is not for, as the walk before found."""
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
                module.touches |= any(touches(dotted) for dotted in imported_names(node))
            elif isinstance(node, ast.ClassDef):
                key = f"{module.name}.{node.name}"
                methods = {entry.name: entry for entry in node.body if isinstance(entry, ast.FunctionDef)}
                self.classes[key] = Class(node, module, methods=methods)
                module.names[node.name] = Type("own_class", key)
        for name, package in ANNOTATIONS_OF_MODULES.get(module.name, {}).items():
            module.names[name] = Type("module_annotation", package)
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef):
                key = f"{module.name}.{node.name}"
                self.functions[key] = (node, module)
                module.names[node.name] = Type("own_function", key)

    def _declared_attributes(self, key: str, entry: Class) -> dict[str, Type]:
        declared = {}
        for node in ast.walk(entry.node):
            if isinstance(node, ast.AnnAssign):
                field_of_class = isinstance(node.target, ast.Name) and node in entry.node.body
                name = ast.unparse(node.target) if field_of_class else attribute_of_self(node.target)
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

    def modules_kept(self, key: str) -> set[str]:
        """Return the names of the modules of TensorRT that an object of our class keeps, or is made with."""
        entry = self.classes[key]
        kept = self.modules_of(key)
        if "__init__" in entry.methods:
            names = with_modules(self, entry.methods["__init__"], entry.module, {})
            kept |= {found.name for found in names.values()}
        return kept.union(*(self.modules_kept(base.name) for base in entry.bases if base.kind == "own"))

    def modules_of(self, key: str) -> set[str]:
        """Return the names of the modules of TensorRT among the attributes that our class itself names."""
        return {found.name for found in self.classes[key].attributes.values() if found.kind == "module"}

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


def touches(dotted: str) -> bool:
    """Say whether what is imported makes the module one that deals with TensorRT."""
    holder, _, name = dotted.rpartition(".")
    return dotted.split(".")[0] in PACKAGES or name in ANNOTATIONS_OF_MODULES.get(holder, ())


def imported(source: Source, node: ast.Import | ast.ImportFrom) -> dict[str, Type]:
    """Return the names that an import binds."""
    bound = {}
    for alias, dotted in zip(node.names, imported_names(node)):
        shown = alias.asname or (dotted.split(".")[0] if isinstance(node, ast.Import) else alias.name)
        package, _, rest = dotted.partition(".")
        if package in PACKAGES:
            bound[shown] = Type("class", rest) if rest and isinstance(node, ast.ImportFrom) else Type("module", package)
        elif package == "rtseg":
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
        if name in ANNOTATIONS_OF_MODULES.get(holder, ()):
            return Type("module_annotation", ANNOTATIONS_OF_MODULES[holder][name])
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
        kinds = {"own_class": "own", "class": "instance", "module_annotation": "module"}
        return Type(kinds[found.kind], found.name) if found.kind in kinds else PLAIN
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


def with_modules(source: Source, function: ast.FunctionDef, module: Module, names: dict[str, Type]) -> dict[str, Type]:
    """Return the names for a function's annotations: in `f(trt: TensorRt, config: trt.IBuilderConfig)` trt too."""
    told = {entry.arg: annotated(source, entry.annotation, module, names) for entry in parameters(function)}
    return {**names, **{name: found for name, found in told.items() if found.kind == "module"}}


def parameters(function: ast.FunctionDef) -> list[ast.arg]:
    """Return those that stand for one argument each."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def result_of(source: Source, function: ast.FunctionDef, module: Module) -> Type:
    """Return the type that our function says it returns."""
    return annotated(source, function.returns, module, with_modules(source, function, module, module.names))


def listed(element: Type) -> Type:
    """Return the type of a container of such elements; of a mapping, its values."""
    return PLAIN if element.kind in ("plain", "any") else Type("list", of=element)


def joined(*types: Type) -> Type:
    """Return the type of a value that is one of several."""
    left = {entry for entry in types if entry.kind not in ("plain", "any", "guard")}
    if not left:
        return ANY if any(entry.kind == "any" for entry in types) else PLAIN
    if {entry.kind for entry in left} == {"module"} and len(set(types)) > 1:
        return Type("module")  # where it may be none at all, that there is one tells nothing either
    if len(left) == 1:
        return left.pop()
    return Type("opaque", "of several types") if any(concerns_tensorrt(entry) for entry in left) else PLAIN


def concerns_tensorrt(value: Type) -> bool:
    """Say whether a value is TensorRT's, or a container of such."""
    return value.kind in TENSORRT or (value.kind == "list" and concerns_tensorrt(value.of))


def carries_tensorrt(source: Source, value: Type, seen: frozenset[str] = frozenset()) -> bool:
    """Say whether a value is an object of TensorRT's, or one of ours that keeps some; the module alone is none."""
    if value.kind == "list":
        return carries_tensorrt(source, value.of, seen)
    if value.kind != "own" or value.name in seen:
        return value.kind in TENSORRT and value.kind != "module"
    entry, seen = source.classes[value.name], seen | {value.name}
    return any(carries_tensorrt(source, kept, seen) for kept in (*entry.attributes.values(), *entry.bases))


def is_property(function: ast.FunctionDef) -> bool:
    """Say whether a method of ours is read like an attribute."""
    return any(ast.unparse(entry).endswith("property") for entry in function.decorator_list)
