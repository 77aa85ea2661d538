"""`rtseg build --runtime tensorrt-rtx` and `rtseg audit` of what it builds, by NVIDIA's own compiler."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from rtseg.artifacts.manifest import read_manifest
from rtseg.runners.tensorrt.module import rtx_has_wheels
from tests.conftest import error_of
from tests.emulated_gpu.graphs import write_graph
from tests.made_once import made_once

Refused = Callable[..., str]
Cli = Callable[..., Any]
RTX = ("--runtime", "tensorrt-rtx")
AS_IT_IS = "--no-rewrite"
"""Choosing passes takes a build for each, and most tests are about something else."""

AMPERE = (*RTX, "--compute-capability", "8.6")
"""One build instead of the five of a portable engine."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all: what is printed about an engine does not depend on where it comes from."""
    return made_once(tmp_path_factory, "cache-of-rtx-builds", lambda folder: None)


@pytest.fixture(autouse=True)
def compiler(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Skip where there is no compiler."""
    if not rtx_has_wheels():
        pytest.skip("TensorRT for RTX has wheels for x86-64 Linux and Windows only")
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")
    monkeypatch.setenv("RTSEG_CACHE", str(cache))


@pytest.fixture
def build_refused(cli: Cli, tmp_path: Path, files_in: Callable[[Path], list[str]]) -> Refused:
    """Run `rtseg build`, which has to fail and to leave no file; return its message."""

    def refused(*arguments: object) -> str:
        message = error_of(cli("build", *arguments, "-o", tmp_path / "a.engine"))
        assert files_in(tmp_path) == []
        return message

    return refused


@pytest.fixture
def quantized(cli: Cli, exported: Path, calibrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantized") / "affnet.int8.onnx"
    assert cli("quantize", exported, "--table", calibrated, "--to", "int8", "-o", path).code == 0
    return path


def test_a_build_tells_precisions_and_account_and_how_to_look_into_the_engine(cli: Cli, tmp_path: Path) -> None:
    engine, file = tmp_path / "a.engine", tmp_path / "fast_scnn.onnx"
    cli("export", "fast_scnn", "--classes", "camvid", "--resolution", "64x64", "--images", "0", "-o", file)
    told = cli("build", file, *RTX, "--compute-capability", "8.9", "--precision", "fp16", "-o", engine)
    assert (told.code, told.out) == (0, f"{engine}\n")
    passes, form, shares, account, what, graph, bound, after = told.err.splitlines()
    assert passes.startswith("graph passes: ") and passes.endswith(" MB")
    assert form.endswith("has the form for a CPU; rtseg export --target tensorrt writes the one for GPUs")
    assert re.fullmatch(
        r"FP16 (\d+) of the \1 kernels that compute the graph's convolutions and matrix products; "
        r"these are \d+ operators",
        shares,
    )
    assert " kernels, " in account and account.endswith("MB read and written")
    assert what.startswith("fp16 for GPUs of compute capability 8.9, TensorRT for RTX 1.")
    assert (graph.startswith("graph: "), after) == (True, f"next: rtseg audit {engine}")
    assert re.fullmatch(r"lower bound of a frame: 0\.\d{4} ms \(RTX 40.0\) to 0\.\d{4} ms \(RTX 40[\w ]+\)", bound)


def test_the_name_of_an_engine_says_release_and_gpus(cli: Cli, tmp_path: Path) -> None:
    import tensorrt_rtx

    file = write_graph(tmp_path / "small.onnx")
    release = tensorrt_rtx.__version__
    for capabilities, suffix in (((), "portable"), (("8.9", "8.6"), "sm86-sm89")):
        named = [word for capability in capabilities for word in ("--compute-capability", capability)]
        told = cli("build", file, *RTX, *named, "--precision", "fp16")
        assert Path(told.out.strip()).name == f"small.fp16.rtx{release}-{suffix}.engine"


def test_a_compute_capability_chooses_tensorrt_for_rtx_by_itself(cli: Cli, exported: Path, tmp_path: Path) -> None:
    told = cli("build", exported, AS_IT_IS, "--compute-capability", "8.6", "-o", tmp_path / "a.engine", "--json")
    facts = json.loads(told.out)
    assert facts["manifest"]["details"]["runtime"] == "tensorrt-rtx"
    assert facts["verdict"]["passed"] and facts["shares"]["account"]["kernels"] >= 5
    cards = {bound["card"]["name"] for bound in facts["lower_bounds"]}
    assert cards == {"RTX 3060 12 GB", "RTX 3080", "RTX 3090", "RTX A4000"}


def test_without_a_runtime_the_command_says_which_it_took_and_why(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    told = cli("build", write_graph(tmp_path / "small.onnx"), "--precision", "fp16", "-o", tmp_path / "a.engine")
    first = told.err.splitlines()[0]
    assert first.startswith("TensorRT for RTX 1.") and first.endswith(" builds it: TensorRT is not installed")


def test_the_audit_tells_kernels_bytes_and_the_largest(cli: Cli, affnet_file: Path, tmp_path: Path) -> None:
    engine = tmp_path / "a.engine"
    cli("build", affnet_file, AS_IT_IS, *RTX, "--precision", "fp16", "-o", engine)
    account = json.loads(cli("audit", engine, "--json").out)["engine"]["account"]
    assert account["bytes"] == account["read_bytes"] + account["written_bytes"] + account["constant_bytes"]
    assert len(account["largest"]) == 10 and len(account["each"]) == account["kernels"]
    assert sum(row["bytes"] for row in account["by_precision"].values()) == account["bytes"]
    text = cli("audit", engine).out
    assert f"{account['kernels']} kernels, {account['moving']} of which only move or convert data" in text
    assert "the 10 kernels that move the most" in text
    assert text.splitlines()[-1] == "fp16 requested: built, for each of 8.6, 8.9, 12.0, 12.1"


def test_the_audit_tells_a_lower_bound_for_each_card_that_the_engine_is_for(
    cli: Cli, refused: Refused, exported: Path, tmp_path: Path
) -> None:
    engine = tmp_path / "a.engine"
    built = json.loads(cli("build", exported, AS_IT_IS, *AMPERE, "--precision", "fp16", "-o", engine, "--json").out)
    bounds = json.loads(cli("audit", engine, "--json").out)["lower_bounds"]
    assert [bound["ms"] for bound in bounds] == [bound["ms"] for bound in built["lower_bounds"]]
    for bound in bounds:
        assert 0 < bound["ms"] < bound["traffic_ms"] and bound["uncounted_kernels"] == 0
        assert bound["measured_ms"] is bound["reached"] is None
    (named,) = json.loads(cli("audit", engine, "--card", "RTX 3090", "--json").out)["lower_bounds"]
    assert named == bounds[2]
    assert "is not for RTX 4090" in refused("audit", engine, "--card", "RTX 4090")


def test_an_audit_against_another_engine_shows_both_accounts(
    cli: Cli, exported: Path, quantized: Path, tmp_path: Path
) -> None:
    half, int8 = tmp_path / "half.engine", tmp_path / "int8.engine"
    cli("build", exported, AS_IT_IS, "--compute-capability", "8.6", "--precision", "fp16", "-o", half)
    told = cli("build", quantized, AS_IT_IS, "--compute-capability", "8.6", "-o", int8)
    assert "INT8 convolutions write FP32 here" in told.err
    assert "--precision fp16 --compute-capability 8.6 -o FP16.engine" in told.err
    assert f"rtseg audit {int8} --against FP16.engine" in told.err
    text = cli("audit", int8, "--against", half).out
    accounts = {path: json.loads(cli("audit", path, "--json").out)["engine"]["account"] for path in (half, int8)}
    for name, path in (("this", int8), ("the other", half)):
        row = next(line for line in text.splitlines() if f"│ {name} " in line)
        assert [cell.strip() for cell in row.split("│")[2:4]] == [
            str(accounts[path]["kernels"]),
            str(accounts[path]["moving"]),
        ]


def test_the_exit_code_of_an_audit_is_1_where_another_precision_is_expected(
    cli: Cli, refused: Refused, exported: Path, tmp_path: Path
) -> None:
    engine = tmp_path / "a.engine"
    cli("build", exported, AS_IT_IS, *AMPERE, "--precision", "fp16", "-o", engine)
    assert (
        "int8 was requested, but no product of the graph is in int8"
        in refused("audit", engine, "--expect", "int8").splitlines()[-1]
    )


def test_an_engine_that_is_int8_is_not_the_fp16_that_is_expected(
    cli: Cli, refused: Refused, quantized: Path, tmp_path: Path
) -> None:
    engine = tmp_path / "a.engine"
    cli("build", quantized, AS_IT_IS, "--compute-capability", "8.6", "-o", engine)
    told = refused("audit", engine, "--expect", "fp16", "--json")
    assert "fp16 was requested, but no product of the graph is in fp16; got int8" in told


def test_the_layers_of_another_engine_are_no_proof_of_this_one(
    cli: Cli, refused: Refused, exported: Path, tmp_path: Path
) -> None:
    engines = [tmp_path / f"{precision}.engine" for precision in ("fp16", "fp32")]
    for engine in engines:
        cli("build", exported, AS_IT_IS, "--compute-capability", "8.6", "--precision", engine.stem, "-o", engine)
    layers = [Path(f"{engine}.layers.json") for engine in engines]
    layers[0].write_bytes(layers[1].read_bytes())
    assert "does not match the manifest of" in refused("audit", engines[0])


def test_the_graph_is_kept_as_the_compiler_is_given_it(cli: Cli, exported: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.onnx"
    told = cli(
        *("build", exported, AS_IT_IS, *AMPERE, "--precision", "fp16"),
        *("-o", tmp_path / "a.engine", "--keep-graph", kept),
    )
    assert told.code == 0
    onnx.checker.check_model(onnx.load(kept), full_check=True)


def test_a_second_build_of_the_same_is_taken_from_the_cache(
    cli: Cli, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    command = ("build", exported, AS_IT_IS, *RTX, "--compute-capability", "8.6", "-o")
    first, second = (cli(*command, tmp_path / name) for name in ("a.engine", "b.engine"))
    assert "compiled in" in first.err and "built before, taken from the cache" in second.err
    digests = [read_manifest(tmp_path / name, kind="engine").sha256 for name in ("a.engine", "b.engine")]
    assert digests[0] == digests[1]


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--compute-capability", "9.0"), "compiles for no compute capability 9.0; expected one of 7.5, 8.0, 8.6"),
        (("--compute-capability", "8,6"), "compiles for no compute capability 8,6"),
        (
            ("--compute-capability", "7.5", "--compute-capability", "8.6"),
            "compute capability 7.5 needs its own engine",
        ),
        (
            ("--runtime", "tensorrt", "--compute-capability", "8.6"),
            "TensorRT builds only for the GPU of this machine; got compute capability 8.6. Try: use --runtime",
        ),
        ((*RTX, "--precision", "int8"), "INT8 is not in the graph; got no Q/DQ"),
    ],
)
def test_a_request_that_cannot_be_is_one_line(
    build_refused: Refused, exported: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert told in build_refused(exported, *arguments)


def test_int8_for_turing_is_refused_in_one_line(build_refused: Refused, quantized: Path) -> None:
    told = build_refused(quantized, "--compute-capability", "7.5")
    assert told.startswith("INT8 for compute capability 7.5 is not built: TensorRT for RTX compiles it to FP16")


def test_an_unknown_runtime_is_wrong_usage(misused: Refused, exported: Path) -> None:
    assert "'cuda' is not one of 'tensorrt', 'tensorrt-rtx'" in misused("build", exported, "--runtime", "cuda")


def test_a_graph_is_not_kept_over_the_file_itself(cli: Cli, export_copy: Path) -> None:
    before = export_copy.read_bytes()
    told = error_of(cli("build", export_copy, *RTX, "--keep-graph", export_copy))
    assert told.startswith("the graph would overwrite") and export_copy.read_bytes() == before


def test_where_it_is_not_installed_the_extra_is_named(
    build_refused: Refused, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    assert build_refused(exported, *RTX) == (
        "building an engine needs the package tensorrt_rtx, which is not installed. Try: run pip install 'rtseg[rtx]'"
    )
