"""`rtseg audit` on saved inspector files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rtseg.artifacts.files import sha256_of

DATA = Path(__file__).resolve().parents[1] / "data" / "inspector"
Run = Callable[..., "tuple[int, str, str]"]
Refused = Callable[..., str]


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine of which only the manifest (FP16) and the layers (FP32) are read, as after a silent fallback."""
    path = tmp_path / "affnet.engine"
    path.write_bytes(b"plan")
    shutil.copy(DATA / "fp16-asked-fp32-built-11.json", tmp_path / "affnet.engine.layers.json")
    (tmp_path / "affnet.engine.json").write_text(json.dumps({"precision": "fp16", "sha256": sha256_of(path)}))
    return path


def test_a_good_engine_passes_with_its_table(cli: Run) -> None:
    code, out, err = cli(
        "audit", DATA / "fp16-8.5.json", "--expect", "fp16", "--profile", DATA / "fp16-8.5.profile.json"
    )
    assert (code, err) == (0, "")
    assert "image 1x3x96x128 fp32 LINEAR → output 1x12x48x64 fp32 LINEAR" in out
    row = next(line for line in out.splitlines() if line.startswith("│ fp16"))
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["fp16", "7", "87.50 %", "0.553", "94.66 %"]
    assert "fp16 requested: built" in out


@pytest.mark.parametrize("name", ["fp16-asked-fp32-built-8.6.json", "fp16-asked-fp32-built-11.json"])
def test_fp16_asked_and_fp32_built_ends_with_one_line_behind_the_table(cli: Run, name: str) -> None:
    code, out, err = cli("audit", DATA / name, "--expect", "fp16")
    assert code == 1
    assert "fp16 requested: NOT built" in out
    assert (
        err.startswith("rtseg: error: fp16 was requested, but the compiler chose another precision; got all 4")
        and err.count("\n") == 1
    )


def test_without_a_request_the_account_is_printed_and_nothing_is_proven(cli: Run) -> None:
    code, out, _ = cli("audit", DATA / "int8-8.5.json")
    assert code == 0
    assert "no precision was requested" in out
    assert "Q/DQ that stand alone: 4, 3 of them inside the engine" in out


def test_the_manifest_beside_an_engine_is_the_request(cli: Run, engine: Path) -> None:
    for path in (engine, engine.with_name("affnet.engine.layers.json")):
        code, _, err = cli("audit", path)
        assert code == 1 and "fp16 was requested, but the compiler chose another precision" in err


def test_an_option_goes_before_the_manifest(cli: Run, engine: Path) -> None:
    assert cli("audit", engine, "--expect", "fp32")[0] == 0


def test_json_has_the_verdict_too_when_it_fails(cli: Run, engine: Path) -> None:
    code, out, _ = cli("audit", engine, "--json")
    facts = json.loads(out)
    assert code == 1
    assert facts["verdict"]["passed"] is False and facts["against"] is None
    assert facts["engine"]["weighted"] == {"tf32": 4}


def test_against_another_engine_it_says_what_changed(cli: Run) -> None:
    arguments = ["audit", DATA / "int8-8.5.json", "--against", DATA / "fp16-8.5.json"]
    profiles = ["--profile", DATA / "int8-8.5.profile.json", "--against-profile", DATA / "fp16-8.5.profile.json"]
    code, out, _ = cli(*arguments, *profiles)
    assert code == 0
    assert "4 changed precision, 5 new, 1 gone" in out
    assert "int8: 0.000 ms before, 0.197 ms after" in out
    facts = json.loads(cli(*arguments, "--json")[1])
    assert len(facts["against"]["changes"]) == 10


def test_against_itself_nothing_changed(cli: Run) -> None:
    assert "no change" in cli("audit", DATA / "fp16-11.json", "--against", DATA / "fp16-11.json")[1]


def test_a_named_card_gets_a_lower_bound_with_the_part_of_the_measured_time(cli: Run) -> None:
    arguments = ["audit", DATA / "fp16-8.5.json", "--card", "rtx2080ti", "--profile", DATA / "fp16-8.5.profile.json"]
    out = cli(*arguments)[1]
    assert "lower bound of a frame on RTX 2080 Ti, ms" in out and "the 8 kernels that took the longest, ms" in out
    (bound,) = json.loads(cli(*arguments, "--json")[1])["lower_bounds"]
    assert bound["reached"] == pytest.approx(bound["ms"] / 0.584, rel=1e-3)
    assert (len(bound["kernels"]), bound["uncounted_kernels"], bound["macs"] > 0) == (8, 0, True)


def test_with_several_cards_a_measured_time_is_of_none_of_them(cli: Run) -> None:
    arguments = ["audit", DATA / "fp16-8.5.json", "--profile", DATA / "fp16-8.5.profile.json"]
    out = cli(*arguments, "--card", "RTX 3090", "--card", "T4", "--json")[1]
    bounds = json.loads(out)["lower_bounds"]
    assert [(bound["card"]["name"], bound["reached"]) for bound in bounds] == [("RTX 3090", None), ("T4", None)]


def test_where_nothing_tells_the_gpu_there_is_no_lower_bound(cli: Run) -> None:
    assert "lower bound" not in cli("audit", DATA / "fp16-8.5.json")[1]
    assert json.loads(cli("audit", DATA / "fp16-8.5.json", "--json")[1])["lower_bounds"] == []


def test_an_unknown_card_is_refused_with_those_that_are_known(refused: Refused) -> None:
    told = refused("audit", DATA / "fp16-8.5.json", "--card", "RTX 3091")
    assert told.startswith("unknown card; got 'RTX 3091'; expected one of A10 PCIe, A100 ")
    assert told.endswith("Try: use 'RTX 3090'")


def test_an_altered_engine_is_not_proven_by_its_old_layers(refused: Refused, engine: Path) -> None:
    engine.write_bytes(b"another plan")
    assert "does not match its manifest" in refused("audit", engine)


@pytest.mark.parametrize("text", ["{", "[]", '{"precision": "fp16"}', '{"precision": "fp61", "sha256": ""}'])
def test_a_manifest_that_is_none_is_refused(refused: Refused, engine: Path, text: str) -> None:
    engine.with_name("affnet.engine.json").write_text(text)
    assert "affnet.engine.json" in refused("audit", engine)


def test_files_that_prove_nothing_are_refused_with_what_to_do(refused: Refused, tmp_path: Path) -> None:
    assert "ProfilingVerbosity.DETAILED" in refused("audit", DATA / "names-only-8.5.json")
    assert "no such file" in refused("audit", tmp_path / "none.engine")
    (tmp_path / "bare.engine").touch()
    assert "rtseg build" in refused("audit", tmp_path / "bare.engine")
    assert "No such file" in refused("audit", tmp_path / "none.json")
    assert "it is a folder" in refused("audit", tmp_path)
    assert "engine inspector" in refused("audit", DATA / "fp16-8.5.profile.json")
    assert "is not a profile" in refused("audit", DATA / "fp16-8.5.json", "--profile", DATA / "fp16-8.5.json")
    assert "no profile of this engine" in refused(
        "audit", DATA / "fp16-11.json", "--profile", DATA / "fp16-8.5.profile.json"
    )


def test_a_profile_of_nothing_is_wrong_usage(misused: Refused) -> None:
    told = misused("audit", DATA / "fp16-11.json", "--against-profile", DATA / "fp16-8.5.profile.json")
    assert "--against-profile needs --against" in told
