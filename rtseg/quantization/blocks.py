"""Split a network into blocks: its modules, to a depth that gives a number of blocks that a person can read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

DEFAULT_COUNT = 20

ModulePath = tuple[str, ...]
"""An operator's name in pieces; joined by "/" they give the name, so different names have different paths."""


@dataclass(frozen=True)
class Block:
    """Operators that become INT8 together, named after their module. macs counts their multiply-accumulates."""

    name: str
    operators: frozenset[str]
    macs: int


def blocks_of(operators: Collection[str], macs: Mapping[str, int], *, count: int = DEFAULT_COUNT) -> tuple[Block, ...]:
    """Return the operators in at least count blocks, or one block each if there are fewer operators.

    Blocks are in the order of their first operators. Operator names must be unique, and be module paths as the exporter
    writes them (/network/unit1/conv/Conv); a name without a path counts as a module. At first all operators form one
    block. The block with the most MACs is split into its modules until there are count blocks, so that no block is much
    more expensive to keep out of INT8 than the others.
    """
    groups: list[tuple[ModulePath, list[str]]] = [((), list(operators))] if operators else []
    while len(groups) < count:
        divisible = [index for index, (_, names) in enumerate(groups) if len(names) > 1]
        if not divisible:
            break
        heaviest = max(divisible, key=lambda index: (_work(groups[index][1], macs), len(groups[index][1])))
        groups[heaviest : heaviest + 1] = _modules_in(groups[heaviest][1])
    place = {name: index for index, name in enumerate(operators)}
    groups.sort(key=lambda group: place[group[1][0]])
    labels = _labels([path for path, _ in groups], _shared_path(list(operators)))
    return tuple(Block(label, frozenset(names), _work(names, macs)) for label, (_, names) in zip(labels, groups))


def _modules_in(names: Sequence[str]) -> list[tuple[ModulePath, list[str]]]:
    """Return the two or more modules of the operators, at the first level where their paths differ."""
    level = len(_shared_path(names)) + 1
    modules: dict[ModulePath, list[str]] = {}
    for name in names:
        modules.setdefault(_path(name)[:level], []).append(name)
    return list(modules.items())


def _labels(paths: Sequence[ModulePath], shared: ModulePath) -> list[str]:
    """Return the paths as text, without their common beginning; a single block is named after that beginning."""
    if len(paths) == 1:
        return ["/".join(shared).lstrip("/") or "all operators"]
    skipped = min([len(shared), *(len(path) - 1 for path in paths)])
    return ["/".join(path[skipped:]) or "/" for path in paths]


def _work(names: Collection[str], macs: Mapping[str, int]) -> int:
    return sum(macs.get(name, 0) for name in names)


def _path(name: str) -> ModulePath:
    return tuple(name.split("/"))


def _shared_path(names: Sequence[str]) -> ModulePath:
    shared: list[str] = []
    for pieces in zip(*map(_path, names)):
        if len(set(pieces)) > 1:
            break
        shared.append(pieces[0])
    return tuple(shared)
