"""The passes as engines/RTX.md describes them to whoever reads their names in a build."""

from __future__ import annotations

import re
from pathlib import Path

from rtseg.engines.rewriting.passes import PASSES

PAGE = Path(__file__).resolve().parents[3] / "engines" / "RTX.md"


def described() -> dict[str, bool]:
    """Return the passes of the page in their order, and whether each is for TensorRT too."""
    table = PAGE.read_text(encoding="utf-8").partition("| pass | what it does | also for TensorRT |\n")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.partition("\n\n")[0].splitlines()[1:]]
    carries_over = {}
    for names, _, also in rows:
        shared, *others = reversed(re.split(r", ", names))  # "strip-, global-, channel-reductions": one row for three
        end = shared.partition("-")[2]
        for name in [*(f"{other}{end}" for other in reversed(others)), shared]:
            carries_over[name] = also == "yes"
    return carries_over


def test_every_pass_is_described_in_the_order_in_which_it_is_tried() -> None:
    assert described() == {entry.name: entry.carries_over for entry in PASSES}
    assert list(described()) == [entry.name for entry in PASSES]
