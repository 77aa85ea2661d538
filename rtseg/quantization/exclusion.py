"""Select the operators that a user excludes from quantization, by patterns over their names."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable

from rtseg.errors import QuantizationError
from rtseg.graphs.view import GraphView, node_name


def matching_operators(view: GraphView, patterns: Iterable[str]) -> frozenset[str]:
    """Return the names of the operators that one of the patterns matches.

    A pattern is a shell pattern over the whole name (`*/fusion/*`, `/network/down/down.0/conv/Conv`), or the name of a
    module, which stands for all operators in it (`/network/fusion`). Raises QuantizationError, with the nearest names,
    for a pattern that matches nothing.
    """
    names = [node_name(node) for node in view.nodes]
    found: set[str] = set()
    for pattern in patterns:
        matched = [name for name in names if _matches(name, pattern)]
        if not matched:
            raise QuantizationError(
                "no operator matches the pattern",
                got=repr(pattern),
                expected="a name or a shell pattern, such as " + ", ".join(_nearest(pattern, names)),
            )
        found.update(matched)
    return frozenset(found)


def _matches(name: str, pattern: str) -> bool:
    module = pattern.rstrip("/")
    return fnmatch.fnmatchcase(name, pattern) or (module != "" and name.startswith(f"{module}/"))


def _nearest(pattern: str, names: list[str]) -> list[str]:
    """Return up to three operators or modules with names similar to the pattern."""
    modules = {"/".join(name.split("/")[: depth + 1]) for name in names for depth in range(1, name.count("/") + 1)}
    plain = pattern.replace("*", "")
    candidates = sorted(modules | set(names))
    # People usually remember the last part of a name.
    close = difflib.get_close_matches(plain, candidates, n=3, cutoff=0.4)
    ends = [name for name in candidates if plain.strip("/").lower() in name.lower()]
    return list(dict.fromkeys([*ends[:3], *close, *candidates[:1]]))[:3]
