"""Takes into the site what the pages of docs/ link to elsewhere in the repository: other pages, pictures, sources.

mkdocs calls `on_files` and `on_page_markdown`. A file of the repository gets the address repository/ITS_PATH, and links
are written anew to fit. So the same links lead somewhere in a clone and in the site.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = "repository/"

_LINK = re.compile(r"(?P<text>\[[^\[\]]*\]|\[!\[[^\]]*\]\([^)]*\)\])\((?P<link>[^)\s]+)\)")
_SOURCE = re.compile(r'(?P<attribute>\b(?:src|srcset)=")(?P<link>[^"]+)"')
_FENCE = re.compile(r"(```.*?```)", re.DOTALL)
_RUN = re.compile(r"^(```(?:sh|python)) run$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add every file that a page leads to, and what those lead to."""
    waiting = [_path_of(file.src_uri) for file in files.documentation_pages()]
    taken = set(waiting)
    while waiting:
        page = waiting.pop()
        for target in _targets((ROOT / page).read_text(encoding="utf-8"), page):
            if target in taken or target.startswith("docs/"):
                continue
            taken.add(target)
            files.append(File.generated(config, ELSEWHERE + target, abs_src_path=str(ROOT / target)))
            if target.endswith(".md"):
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Return the page with links that fit the site, and its blocks without the word run, which is for the tests."""
    address = page.file.src_uri

    def linked(match: re.Match[str]) -> str:
        place = _place(match["link"], address)
        return match[0] if place == match["link"] else f"{match['text']}({place})" if place else match["text"][1:-1]

    def sourced(match: re.Match[str]) -> str:
        return f'{match["attribute"]}{_place(match["link"], address) or match["link"]}"'

    parts = _FENCE.split(markdown)
    parts[::2] = [_SOURCE.sub(sourced, _LINK.sub(linked, part)) for part in parts[::2]]
    return _RUN.sub(r"\1", "".join(parts))


def _path_of(address: str) -> str:
    """Return the path in the repository of what has an address in the site."""
    return address[len(ELSEWHERE) :] if address.startswith(ELSEWHERE) else f"docs/{address}"


def _targets(text: str, page: str) -> Iterator[str]:
    """Yield the files of the repository that a page links to."""
    for pattern in (_LINK, _SOURCE):
        for match in pattern.finditer(_FENCE.sub("", text)):
            target = _target(match["link"], page)
            if target:
                yield target


def _target(link: str, page: str) -> str:
    """Return the path of what a link of a page leads to, "" where that is no file of the repository."""
    path = link.partition("#")[0]
    if not path or ":" in path:
        return ""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    if (ROOT / target).is_dir():
        target = f"{target}/README.md"
    return target if (ROOT / target).is_file() else ""


def _place(link: str, address: str) -> str:
    """Return a link as the page at an address has it in the site, "" where it leads to no file."""
    path, mark, anchor = link.partition("#")
    if not path or ":" in path:
        return link
    target = _target(link, _path_of(address))
    if not target:
        return ""
    there = target[len("docs/") :] if target.startswith("docs/") else ELSEWHERE + target
    return posixpath.relpath(there, posixpath.dirname(address) or ".") + mark + anchor
