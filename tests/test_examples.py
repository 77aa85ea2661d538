"""The examples run as they stand, and give what the commands give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.chain import chain
from tests.conftest import Outcome

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "export" / "checkpoints" / "affnet-streets.safetensors"
DATA, SIZE, PICTURES = "streets:96x128", "96x128", 4


def test_the_chain_is_no_longer_than_a_page() -> None:
    assert len((ROOT / "examples" / "chain.py").read_text().splitlines()) <= 30


def test_the_chain_gives_the_miou_that_the_commands_give(
    cli: Callable[..., Outcome], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for package in ("tensorrt_rtx", "openvino"):
        pytest.importorskip(package)
    miou = chain(str(CHECKPOINT), DATA, tmp_path / "chain", SIZE, PICTURES, seconds=0.1)
    assert "proven True, for GPUs of compute capability 8.9" in capfd.readouterr().out
    fp32, table, int8 = (tmp_path / name for name in ("fp32.onnx", "table.json", "int8.onnx"))
    commands = (
        ("export", "--checkpoint", CHECKPOINT, "--resolution", SIZE, "-o", fp32),
        ("calibrate", fp32, "--data", DATA, "--images", PICTURES, "-o", table),
        ("quantize", fp32, "--table", table, "--to", "int8", "-o", int8),
        ("validate", int8, "--against", fp32, "--data", DATA, "--limit", PICTURES, "--json"),
    )
    for command in commands:
        outcome = cli(*command)
        assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["candidate"]["accuracy"]["miou"] == miou
    assert int8.read_bytes() == (tmp_path / "chain" / "int8.onnx").read_bytes()
