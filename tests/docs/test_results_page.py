"""The tables of docs/results.md are those that the tracked results give."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

_SPEC = importlib.util.spec_from_file_location("results_page", ROOT / "benchmarks" / "results_page.py")
assert _SPEC is not None and _SPEC.loader is not None
script = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(script)

PAGE = script.PAGE.read_text(encoding="utf-8")
TABLES = re.findall(r"<!-- table (\S+) -->\n\n(.*?)\n\n<!-- /table -->", PAGE, re.DOTALL)


@pytest.mark.parametrize(("name", "shown"), TABLES, ids=[name for name, _ in TABLES])
def test_a_table_is_what_the_results_give(name: str, shown: str) -> None:
    assert shown == script.TABLES[name](), "python benchmarks/results_page.py writes it"


def test_every_table_of_the_script_stands_on_the_page_once_and_no_other_table_does() -> None:
    assert sorted(name for name, _ in TABLES) == sorted(script.TABLES)
    outside = re.sub(r"<!-- table .*?<!-- /table -->", "", PAGE, flags=re.DOTALL)
    assert "\n|" not in outside


@pytest.mark.parametrize("path", sorted(script.RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_tracked_result_is_on_the_page_or_in_the_ledger_of_benchmarks(path: Path) -> None:
    ledger = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    patterns = [pattern.replace("*", ".*") for pattern in re.findall(r"`results/([\w.*-]+)`", ledger)]
    assert f"results/{path.name}" in PAGE or any(re.fullmatch(pattern, path.name) for pattern in patterns)
