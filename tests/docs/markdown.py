"""The pages of the repository, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in ROOT.glob("**/*.md")
    if not path.relative_to(ROOT).parts[0].startswith(".") and path.relative_to(ROOT).parts[0] != "build"
)
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").glob("*.md"))


class Block(NamedTuple):
    """A fenced block: its language, the words after it, its text."""

    language: str
    words: str
    text: str


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    for language, words, text in re.findall(
        r"^```(\w+) ?([^\n]*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        yield Block(language, words, text)


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def shell_lines(page: Path) -> list[str]:
    """Return the commands of the shell blocks of a page, without comments."""
    lines = (
        line.split("  #")[0].strip()
        for block in blocks(page)
        if block.language == "sh"
        for line in block.text.splitlines()
    )
    return [line for line in lines if line and not line.startswith("#")]


def anchors(page: Path) -> set[str]:
    """Return the addresses of the headings of a page, as GitHub and the site make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-"))
    return found
