"""Every typed error has its part of the page, and the messages of the page are messages of rtseg."""

from __future__ import annotations

import ast
import functools
import inspect
import re

import pytest

from rtseg import errors
from tests.docs.markdown import ROOT, anchors

PAGE = ROOT / "docs" / "troubleshooting.md"
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.RtsegError)]
MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)


def text_of(node: ast.expr) -> str:
    """Return a literal with ... for each part that is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    return str(node.value) if isinstance(node, ast.Constant) else "..."


@functools.cache
def literals() -> frozenset[str]:
    trees = (ast.parse(path.read_text()) for path in (ROOT / "rtseg").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return frozenset(text_of(node) for node in nodes if isinstance(node, (ast.Constant, ast.JoinedStr)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_page_that_an_error_names_has_a_part_about_it(kind: type[errors.RtsegError]) -> None:
    page, _, anchor = kind.__new__(kind).page.partition("#")
    assert ROOT / page == PAGE and anchor in anchors(PAGE)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_is_one_that_rtseg_gives(message: str) -> None:
    assert any(message in literal for literal in literals())
