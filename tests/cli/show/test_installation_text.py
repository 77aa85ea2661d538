"""What the doctor prints: readable at 80 columns, and its last line is what it comes to."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from rtseg.cli.show.installation_text import print_installation

SUMMARY = (
    "This machine exports networks and runs ONNX files; it runs no engine: no NVIDIA driver. Next: install the driver."
)


def finding(name: str, works: bool | None, seen: str, mend: str = "") -> dict[str, Any]:
    return {"name": name, "works": works, "seen": seen, "mend": mend}


FACTS: dict[str, Any] = {
    "python": "3.11.7",
    "machine": "Linux x86_64, 2 cores",
    "cache": "/home/somebody/.cache/rtseg",
    "versions": {"rtseg": "1.0"},
    "findings": [
        finding("torch", False, "not installed: no training and no export", "pip install 'rtseg[export]'"),
        finding(
            "tensorrt-rtx", True, "1.7.1.116: builds for 7.5, 8.0, 8.6, 8.9, 12.0, 12.1, runs none without a driver"
        ),
    ],
    "chain": [
        finding("driver", False, "no NVIDIA driver: " + 8 * "a library is not there ", "install the driver"),
        finding("tensorrt-rtx compared", None, "not tried: no driver"),
    ],
    "summary": SUMMARY,
}


def printed(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    print_installation(FACTS, console)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_tables_fit_and_the_last_line_is_the_summary(width: int) -> None:
    *lines, last = printed(width)
    assert lines[:2] == ["rtseg 1.0 on Linux x86_64, 2 cores, Python 3.11.7", "cache: /home/somebody/.cache/rtseg"]
    assert last == SUMMARY
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_a_command_stands_whole_below_what_it_mends(width: int) -> None:
    lines = printed(width)
    (at,) = (number for number, line in enumerate(lines) if line.lstrip().startswith("torch"))
    assert lines[at].split() == ["torch", "no", "not", "installed:", "no", "training", "and", "no", "export"]
    assert lines[at + 1].strip() == "> pip install 'rtseg[export]'"


def test_a_step_that_was_not_tried_is_neither_yes_nor_no() -> None:
    (line,) = (line for line in printed(80) if "tensorrt-rtx compared" in line)
    assert line.split() == ["tensorrt-rtx", "compared", "-", "not", "tried:", "no", "driver"]
