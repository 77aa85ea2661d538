"""Every hint is advice that can be followed as it stands: it begins with a verb in the imperative."""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERBS = """
    allocate allow bind build call change choose compare compile convert copy export get install keep label leave open
    pass put quantize rename request restart run save set shorten start take use write
"""
"""The imperatives with which hints begin. Add another if none of these fits; a noun is not one."""

NAMES = {"hint", "mend", "remedy", "without_labels"}
"""Names of parameters and variables that hold hints."""

TABLES = {"Translation": 2, "KnownFailure": 3, "NotTriedError": 1, "Finding": 3}
"""The position of the hint in each of these calls."""


def beginnings(node: ast.expr) -> Iterator[tuple[int, str]]:
    """Yield line and literal beginning of each text that the expression may give; names stand as they are."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif isinstance(node, ast.JoinedStr):
        yield from beginnings(node.values[0])
    elif isinstance(node, ast.BinOp):
        yield from beginnings(node.left)
    elif isinstance(node, ast.IfExp):
        yield from beginnings(node.body)
        yield from beginnings(node.orelse)
    elif isinstance(node, (ast.BoolOp, ast.Dict)):
        for value in node.values:
            yield from beginnings(value)


def constants_of(tree: ast.Module) -> Iterator[str]:
    """Yield the names of constants and variables that are passed as hints."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in NAMES:
            value = node.value.value if isinstance(node.value, ast.Subscript) else node.value
            if isinstance(value, ast.Name):
                yield value.id


def hints_of(tree: ast.Module, constants: Collection[str]) -> Iterator[ast.expr]:
    """Yield the expressions of a module that are hints, and those that are assigned to the constants and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in NAMES:
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TABLES:
            yield from node.args[TABLES[node.func.id] : TABLES[node.func.id] + 1]
        elif isinstance(node, ast.Assign):
            names = {getattr(target, "id", getattr(target, "attr", "")) for target in node.targets}
            if not names.isdisjoint({*NAMES, *constants}):
                yield node.value


@functools.cache
def hints() -> list[tuple[str, str]]:
    """Return place and literal beginning of every hint of the package; a place is FILE:LINE."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "rtseg").rglob("*.py"))}
    shared = {name for tree in trees.values() for name in constants_of(tree) if name.isupper()}
    return [
        (f"{path.relative_to(ROOT).as_posix()}:{line}", text)
        for path, tree in trees.items()
        for expression in hints_of(tree, {*shared, *constants_of(tree)})
        for line, text in beginnings(expression)
        if text and not text[0].isspace()  # one that begins with a space follows a command
    ]


def test_every_hint_begins_with_a_verb() -> None:
    assert [(place, text) for place, text in hints() if text.split()[0].strip(":,") not in VERBS.split()] == []


def test_the_hints_are_found() -> None:
    places = {place.partition(":")[0] for place, _ in hints()}
    assert len(hints()) > 200
    assert {"rtseg/errors.py", "rtseg/runners/tensorrt/messages.py", "rtseg/runners/cuda/failures.py"} <= places


def test_hints_in_constants_and_in_choices_are_found() -> None:
    tree = ast.parse('A = "a newer one"\nraise E("x", hint=A)\nraise E("y", hint=f"use {b}" if b else "")')
    found = [text for expression in hints_of(tree, set(constants_of(tree))) for _, text in beginnings(expression)]
    assert sorted(found) == ["", "a newer one", "use "]
