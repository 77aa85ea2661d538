from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.gpu_check.ledger import DONE, FAILED, MEASURED, ROOT, Entry, Ledger, code_sha256
from rtseg.errors import ArtifactError, WriteError


def entry(status: str = DONE, **identity: object) -> Entry:
    return Entry(status, identity, 2, "", {"frame": {"host": {"samples_ns": [1, 2, 3]}}})


def test_entries_come_back_as_they_were_written_in_the_order_of_the_tasks(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.json")
    ledger.entries = {"b": entry(gpu="one"), "a": entry(FAILED, gpu="two")}
    ledger.write({"command": "run"}, ["a", "b", "c"])
    again = Ledger(ledger.path)
    assert list(again.entries) == ["a", "b"]
    assert again.entries == {"a": entry(FAILED, gpu="two"), "b": entry(gpu="one")}


def test_a_ledger_is_json_with_one_line_for_each_entry(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.json")
    ledger.entries = {name: entry() for name in "ab"}
    ledger.write({"command": "run", "environment": {}}, ["a", "b"])
    text = ledger.path.read_text()
    assert sum("samples_ns" in line for line in text.splitlines()) == 2
    assert set(json.loads(text)) == {"format", "command", "environment", "entries"}


def test_entries_of_tasks_that_are_no_more_are_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.json")
    ledger.entries = {"a": entry(), "old": entry()}
    ledger.write({}, ["a"])
    assert list(Ledger(ledger.path).entries) == ["a"]


def test_a_write_that_fails_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.json")
    ledger.entries = {"a": entry()}
    ledger.write({}, ["a"])
    before = ledger.path.read_bytes()
    ledger.entries["a"] = Entry(DONE, {}, 1, "", {"not JSON": object()})
    with pytest.raises(TypeError):
        ledger.write({}, ["a"])
    ledger.path = tmp_path / "l.json" / "inside"
    ledger.entries["a"] = entry()
    with pytest.raises(WriteError):
        ledger.write({}, ["a"])
    assert (tmp_path / "l.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["l.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "rtseg-gpu-check/1", "entries": {"a": {"x": 1}}}'])
def test_a_file_that_is_no_ledger_is_refused_and_kept(content: str, tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match="not a ledger"):
        Ledger(path)
    assert path.read_text() == content


def test_an_entry_is_of_all_that_is_known_and_of_nothing_else() -> None:
    one = entry(case="c", gpu="H200")
    assert one.is_of({"case": "c", "gpu": "H200"})
    assert one.is_of({"case": "c"})
    assert not one.is_of({"case": "other"})
    assert not one.is_of({"case": "c", "torch": "2.11"})


def test_the_digest_of_the_code_changes_with_what_is_measured_and_with_nothing_else(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for name in (*MEASURED, "rtseg/cli", "benchmarks/gpu_check/summary.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copied(ROOT / name, copy / name)
    assert code_sha256(copy) == code_sha256()
    (copy / "benchmarks" / "gpu_check" / "summary.py").write_text("# other words\n")
    (copy / "rtseg" / "cli" / "console.py").unlink()
    assert code_sha256(copy) == code_sha256()
    with open(copy / "rtseg" / "native" / "frame_ends.cu", "a") as kernels:
        kernels.write("// another kernel\n")
    changed = code_sha256(copy)
    assert changed != code_sha256()
    (copy / "rtseg" / "runners" / "new.py").touch()
    assert code_sha256(copy) not in (changed, code_sha256())
