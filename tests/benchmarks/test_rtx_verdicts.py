"""The tracked ledger of what TensorRT for RTX makes of every network, and the table that is made of it."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtseg.networks.registry import network_names

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("rtx_verdicts", ROOT / "benchmarks" / "rtx_verdicts.py")
assert _SPEC is not None and _SPEC.loader is not None
script = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(script)

LEDGER = json.loads(script.RESULT.read_text(encoding="utf-8"))
OF_TIME = r"(^|_)(time|times|timed|seconds?|s|ms|us|ns|fps|hz|latency|latencies|speed|throughput|duration)($|_)"


def rows(which: str = "verdicts", **wanted: str) -> list[dict[str, Any]]:
    return [row for row in LEDGER[which] if all(row[key] == value for key, value in wanted.items())]


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(part)


def test_every_network_has_a_row_for_each_precision_and_compute_capability_and_no_other_is_there() -> None:
    expected = [
        (name, precision, capability)
        for name in network_names()
        for precision in ("fp32", "fp16", "int8")
        for capability in ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
    ]
    assert [(row["network"], row["precision"], row["compute_capability"]) for row in rows()] == expected


def test_every_network_has_one_account_at_the_large_resolution() -> None:
    found = [(row["network"], row["precision"], row["compute_capability"]) for row in rows("accounts")]
    assert found == [(name, "fp16", "8.6") for name in network_names()]
    assert LEDGER["resolution"] == {"verdicts": "512x1024", "accounts": "1024x2048"}


def test_every_verdict_is_one_of_three_and_says_why_unless_it_was_built_as_asked() -> None:
    for row in rows() + rows("accounts"):
        assert row["verdict"] in ("built as asked", "refused by the compiler", "refused as not proven")
        as_asked = row["verdict"] == "built as asked"
        assert (row["why"] == "") == as_asked, row
        counts = [row[key] for key in ("kernels", "moving", "bytes", "constant_bytes", "engine_bytes")]
        assert all(isinstance(count, int) and count >= 0 if as_asked else count is None for count in counts), row


@pytest.mark.parametrize("capability", ["8.6", "8.9", "12.0"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_fp32_and_fp16_are_built_as_asked_for_ampere_ada_and_blackwell(precision: str, capability: str) -> None:
    found = rows(precision=precision, compute_capability=capability)
    assert {row["verdict"] for row in found} == {"built as asked"}


def test_fp16_is_built_as_asked_for_turing_and_int8_is_refused_there() -> None:
    assert {row["verdict"] for row in rows(precision="fp16", compute_capability="7.5")} == {"built as asked"}
    refused = rows(precision="int8", compute_capability="7.5")
    assert {row["verdict"] for row in refused} == {"refused as not proven"}
    assert all(row["why"].startswith("INT8 for compute capability 7.5 is not built") for row in refused)


def test_no_key_of_the_ledger_speaks_of_time() -> None:
    assert [key for key in keys(LEDGER) if re.search(OF_TIME, key)] == []


def test_the_ledger_is_written_as_the_script_writes_it_a_line_for_each_row() -> None:
    lines = script.RESULT.read_text(encoding="utf-8").splitlines()
    assert all(f"  {json.dumps(row)}" in {line.rstrip(",") for line in lines} for row in rows() + rows("accounts"))
    for which in script.LISTS:
        assert LEDGER[which] == sorted(LEDGER[which], key=script.place_of)


def test_the_table_is_the_one_that_the_ledger_gives() -> None:
    page = (ROOT / "engines" / "RTX.md").read_text(encoding="utf-8")
    assert script.with_table(page, LEDGER["accounts"]) == page


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="are there 0 times"):
        script.with_table("# a page", LEDGER["accounts"])


def test_a_network_that_was_refused_keeps_its_place_in_the_table() -> None:
    row = {**LEDGER["accounts"][0], "verdict": "refused as not proven", "why": "told", "kernels": None}
    assert f"| {row['network']} | refused as not proven |  |  |  |" in script.table_text([row])


@pytest.mark.parametrize(
    ("told", "verdict", "why"),
    [
        (
            "it cannot be built; got from TensorRT: no such kernel. Try: another",
            "refused by the compiler",
            "no such kernel",
        ),
        (
            "the log cannot be read; got 2 lists. Try: another",
            "refused as not proven",
            "the log cannot be read; got 2 lists",
        ),
        ("the log cannot be read", "refused as not proven", "the log cannot be read"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_who_refused(
    told: str, verdict: str, why: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise script.EngineError(told)

    monkeypatch.setattr(script, "build_engine", refusing)
    row = script.row_of(exported, "fp16", "8.6")
    assert (row["verdict"], row["why"], row["engine_bytes"]) == (verdict, why, None)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the ledger, and a script that builds nothing: enet fails, the others give the rows they have."""

    def rows_without_a_build(name: str, which: str) -> list[dict[str, Any]]:
        if name == "enet":
            raise RuntimeError("it fell over")
        return rows(which, network=name)

    path = tmp_path / "ledger.json"
    path.write_text(script.RESULT.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(script, "in_a_process", rows_without_a_build)
    monkeypatch.setattr(script, "load_rtx", lambda _: SimpleNamespace(__version__=LEDGER["tensorrt_rtx"]))
    monkeypatch.setattr(sys, "argv", ["rtx_verdicts.py", "--network", "enet", "affnet", "-o", str(path)])
    monkeypatch.setenv("RTSEG_CACHE", "set by the script")
    return path


def test_a_network_that_fails_stops_no_other_and_loses_its_rows_alone(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main() == 1
    assert "enet, verdicts: RuntimeError: it fell over\n" in capsys.readouterr().err
    left = json.loads(ledger.read_text(encoding="utf-8"))
    for which in script.LISTS:
        assert left[which] == [row for row in LEDGER[which] if row["network"] != "enet"]


def test_rows_of_two_releases_are_not_put_into_one_ledger(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "load_rtx", lambda _: SimpleNamespace(__version__="9.9"))
    with pytest.raises(SystemExit):
        script.main()
    assert f"is of TensorRT for RTX {LEDGER['tensorrt_rtx']}, and this is 9.9" in capsys.readouterr().err


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip unless the compiler is there in the release that made the ledger."""
    reason = f"the ledger is of TensorRT for RTX {LEDGER['tensorrt_rtx']}"
    compiler = pytest.importorskip("tensorrt_rtx", reason=f"{reason}, which is not installed")
    if compiler.__version__ != LEDGER["tensorrt_rtx"]:
        pytest.skip(f"{reason}, and this is {compiler.__version__}")
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))


def test_affnet_in_fp16_is_built_with_the_kernels_the_bytes_and_the_size_of_its_row(
    release: None, tmp_path: Path
) -> None:
    (expected,) = rows(network="affnet", precision="fp16", compute_capability="8.6")
    path = script.exported("affnet", script.RESOLUTION, tmp_path)
    assert script.row_of(path, "fp16", "8.6") == expected


@pytest.mark.slow
@pytest.mark.parametrize("which", script.LISTS)
@pytest.mark.parametrize("name", network_names())
def test_all_rows_of_a_network_come_out_the_same_when_they_are_made_anew(name: str, which: str, release: None) -> None:
    """What INT8 is calibrated with depends on the processor in its last bits, and its engine's size on that.

    The size of an FP32 engine for Turing also differs, by some hundred bytes, on another processor than the ledger's;
    why is not known.
    """
    found, expected = script.rows_anew(name, which), rows(which, network=name)
    for row, before in zip(found, expected, strict=True):
        for_turing = (row["precision"], row["compute_capability"]) == ("fp32", "7.5")
        near = 0.05 if row["precision"] == "int8" else 1e-5 if for_turing else 0
        if near and before["engine_bytes"] is not None:
            before = {**before, "engine_bytes": pytest.approx(before["engine_bytes"], rel=near)}
        assert row == before
