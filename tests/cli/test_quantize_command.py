"""`rtseg quantize`: what it writes, what it says, and what it refuses in one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest

from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.calibration.table import CalibrationTable
from rtseg.cli.quantize_command import quantize as command
from rtseg.quantization.insertion import ENCODINGS
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import TARGETS

Cli = Callable[..., Any]
Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "out" / "net.onnx"


def done(outcome: Any) -> Any:
    """Return the outcome of a command that has to succeed."""
    assert outcome.code == 0, outcome.err
    return outcome


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


def ran(path: Path) -> np.ndarray:
    with OnnxRuntimeRunner(path, threads=1) as runner:
        return runner.infer(np.random.default_rng(5).standard_normal(runner.input.shape, np.float32))


# What it writes and says


def test_int8_is_written_and_its_path_printed(cli: Cli, exported: Path, calibrated: Path, result: Path) -> None:
    outcome = done(cli("quantize", exported, "--table", calibrated, "--to", "int8", "-o", result))
    assert outcome.out == f"{result}\n"
    manifest = read_manifest(result, kind="onnx")
    assert (manifest.precision, manifest.parent_sha256) == ("int8", sha256_of(exported))
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(result)
    assert np.isfinite(ran(result)).all()


def test_it_says_what_share_of_the_work_became_int8_and_what_was_left_why(
    cli: Cli, affnet_file: Path, affnet_table: Path, result: Path
) -> None:
    first, second, third = done(
        cli("quantize", affnet_file, "--table", affnet_table, "--to", "int8", "-o", result)
    ).err.splitlines()
    facts = read_manifest(result, kind="onnx").details.census
    share = facts["macs"]["int8"] / sum(facts["macs"].values())
    assert first.startswith("affnet 64x64 int8 for tensorrt: INT8 ")
    assert f"INT8 {facts['operators']['int8']} operators and {share:.1%} of the MACs" in first
    assert f"FP32 {facts['operators']['fp32']} operators" in first
    assert second.startswith("left in floating point: ")
    assert "a matrix product" in second
    assert third.startswith("also in floating point, without weights: ") and " Sigmoid" in third


def test_fp16_needs_no_table(cli: Cli, exported: Path, result: Path) -> None:
    outcome = done(cli("quantize", exported, "--to", "fp16", "-o", result))
    manifest = read_manifest(result, kind="onnx")
    assert (manifest.precision, manifest.details.table) == ("fp16", None)
    assert "FP16" in outcome.err and "100.0% of the MACs" in outcome.err
    kinds = {entry.data_type for entry in onnx.load(result).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert np.abs(ran(result) - ran(exported)).max() < 0.05 * np.abs(ran(exported)).max()


def test_fp16_takes_a_table_to_know_what_would_overflow(
    cli: Cli, affnet_file: Path, affnet_table: Path, result: Path, tmp_path: Path
) -> None:
    table = CalibrationTable.read(affnet_table)
    huge = {
        name: replace(given, maximum=1e5) if "classifier" in name else given for name, given in table.ranges.items()
    }
    replace(table, ranges=huge).write(tmp_path / "huge.json")
    done(cli("quantize", affnet_file, "--table", tmp_path / "huge.json", "--to", "fp16", "-o", result))
    facts = read_manifest(result, kind="onnx").details
    assert facts.census["operators"]["fp32"] > 0
    assert facts.table["pictures"] == 3


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--to", "int8"], "copy.int8.onnx"),
        (["--to", "int8", "--target", "onnxruntime"], "copy.int8-onnxruntime.onnx"),
        (["--to", "int8", "--target", "openvino"], "copy.int8-openvino.onnx"),
        (["--to", "fp16"], "copy.fp16.onnx"),
    ],
)
def test_the_file_is_named_after_what_is_inside_and_lies_beside_its_source(
    cli: Cli, export_copy: Path, calibrated: Path, options: list[str], name: str
) -> None:
    outcome = done(cli("quantize", export_copy, "--table", calibrated, *options))
    assert outcome.out.strip() == str(export_copy.with_name(name))
    assert manifest_path(export_copy.with_name(name)).is_file()


def test_the_target_decides_how_activations_are_written(
    cli: Cli, exported: Path, calibrated: Path, result: Path
) -> None:
    kinds = {}
    for target in TARGETS:
        done(cli("quantize", exported, "--table", calibrated, "--to", "int8", "--target", target, "-o", result))
        constants = {entry.name: entry.data_type for entry in onnx.load(result).graph.initializer}
        kinds[target] = constants["image_zero_point"]
    uint8 = onnx.TensorProto.UINT8
    assert kinds == {"tensorrt": onnx.TensorProto.INT8, "onnxruntime": uint8, "openvino": uint8}


def test_json_holds_the_path_and_the_whole_manifest(
    cli: Cli, affnet_file: Path, affnet_table: Path, result: Path
) -> None:
    outcome = done(
        cli(
            "quantize",
            affnet_file,
            "--table",
            affnet_table,
            "--to",
            "int8",
            "--exclude",
            "/network/fusion",
            "-o",
            result,
            "--json",
        )
    )
    printed = json.loads(outcome.out)
    assert printed["path"] == str(result)
    assert printed["manifest"] == json.loads(manifest_path(result).read_text())
    details = printed["manifest"]["details"]
    assert details["table"]["sha256"] == sha256_of(affnet_table)
    assert (details["target"], details["budget"]) == ("tensorrt", None)
    assert details["excluded"] and all(name.startswith("/network/fusion/") for name in details["excluded"])
    assert set(details["census"]["left"].values()) >= {"excluded"}


def test_an_excluded_module_stays_in_floating_point(
    cli: Cli, affnet_file: Path, affnet_table: Path, result: Path
) -> None:
    done(
        cli("quantize", affnet_file, "--table", affnet_table, "--to", "int8", "--exclude", "*/pyramid/*", "-o", result)
    )
    for node in onnx.load(result).graph.node:
        if "/pyramid/" in node.name and node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            assert not any(name.endswith("_dequantized") for name in node.input), node.name


def test_an_int8_file_is_validated_like_any_other(cli: Cli, exported: Path, calibrated: Path, result: Path) -> None:
    done(cli("quantize", exported, "--table", calibrated, "--to", "int8", "-o", result))
    outcome = done(cli("validate", result, "--data", "streets:64x64", "--limit", 2, "--json"))
    assert json.loads(outcome.out)["pictures"] == 2


def test_the_targets_of_the_command_are_those_of_the_library() -> None:
    option = next(entry for entry in command.params if entry.name == "target")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == TARGETS == tuple(ENCODINGS)


# What it refuses


@pytest.fixture
def kept_clean(result: Path, files_in: Listing) -> Any:
    """Nothing is left behind by what is refused."""
    yield
    assert not result.parent.exists() or files_in(result.parent) == []


def test_int8_without_a_table_is_wrong_usage(misused: Refused, exported: Path) -> None:
    assert "INT8 needs --table" in misused("quantize", exported, "--to", "int8")


def test_a_precision_that_is_none_is_wrong_usage(misused: Refused, exported: Path) -> None:
    assert "'int8', 'fp16'" in misused("quantize", exported, "--to", "int4")


@pytest.mark.parametrize("option", [("--max-drop", 0.5), ("--data", "streets")])
def test_a_budget_and_its_pictures_go_together(
    misused: Refused, exported: Path, calibrated: Path, option: tuple[object, object]
) -> None:
    told = misused("quantize", exported, "--table", calibrated, "--to", "int8", *option)
    assert "--max-drop and --data go together" in told


def test_a_budget_is_for_int8(misused: Refused, exported: Path) -> None:
    told = misused("quantize", exported, "--to", "fp16", "--max-drop", 1, "--data", "streets")
    assert "--max-drop is for INT8" in told


@pytest.mark.usefixtures("kept_clean")
def test_a_table_of_another_graph_is_refused(
    refused: Refused, exported: Path, calibrated: Path, tmp_path: Path, result: Path
) -> None:
    table = CalibrationTable.read(calibrated)
    replace(table, onnx_sha256="0" * 64, structure_sha256="0" * 64, network="unet").write(tmp_path / "other.json")
    message = refused("quantize", exported, "--table", tmp_path / "other.json", "--to", "int8", "-o", result)
    assert "the calibration table is of another graph" in message
    assert f"rtseg calibrate {exported}" in message


@pytest.mark.usefixtures("kept_clean")
@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": "rtseg-calibration/1"}'])
def test_what_is_no_table_is_refused(
    refused: Refused, exported: Path, tmp_path: Path, content: str, result: Path
) -> None:
    (tmp_path / "table.json").write_text(content)
    message = refused("quantize", exported, "--table", tmp_path / "table.json", "--to", "int8", "-o", result)
    assert "calibration table" in message


@pytest.mark.usefixtures("kept_clean")
def test_a_table_that_is_not_there_is_refused(refused: Refused, exported: Path, tmp_path: Path, result: Path) -> None:
    assert "cannot read" in refused("quantize", exported, "--table", tmp_path / "no.json", "--to", "int8", "-o", result)


@pytest.mark.usefixtures("kept_clean")
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_names(
    refused: Refused, affnet_file: Path, affnet_table: Path, precision: str, result: Path
) -> None:
    arguments = ("--table", affnet_table, "--to", precision, "--exclude", "/network/fussion", "-o", result)
    message = refused("quantize", affnet_file, *arguments)
    assert "no operator matches the pattern; got '/network/fussion'" in message
    assert "/network/fusion" in message


@pytest.mark.usefixtures("kept_clean")
@pytest.mark.parametrize(("precision", "told"), [("int8", "nothing of"), ("fp16", "no operator would become FP16")])
def test_everything_excluded_leaves_nothing_to_do(
    refused: Refused, exported: Path, calibrated: Path, precision: str, told: str, result: Path
) -> None:
    assert told in refused(
        "quantize", exported, "--table", calibrated, "--to", precision, "--exclude", "*", "-o", result
    )


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_file_that_is_int8_already_is_refused(
    cli: Cli, refused: Refused, exported: Path, calibrated: Path, result: Path, precision: str
) -> None:
    done(cli("quantize", exported, "--table", calibrated, "--to", "int8", "-o", result))
    message = refused("quantize", result, "--table", calibrated, "--to", precision)
    assert "is not an FP32 file; got int8; expected fp32" in message


def test_an_onnx_file_without_a_manifest_is_refused(refused: Refused, exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported, tmp_path / "alone.onnx")
    assert "copy both, the file and its manifest" in refused("quantize", tmp_path / "alone.onnx", "--to", "fp16")


def test_the_original_is_not_overwritten(refused: Refused, export_copy: Path, calibrated: Path) -> None:
    before = sha256_of(export_copy)
    arguments = ("--table", calibrated, "--to", "int8", "-o", export_copy)
    assert "would overwrite" in refused("quantize", export_copy, *arguments)
    assert sha256_of(export_copy) == before


def test_the_table_is_not_overwritten(refused: Refused, exported: Path, calibrated: Path, tmp_path: Path) -> None:
    table = shutil.copy(calibrated, tmp_path / "table.json")
    before = sha256_of(table)
    refused("quantize", exported, "--table", table, "--to", "int8", "-o", table)
    assert sha256_of(table) == before


def test_a_folder_in_the_way_is_told_before_any_work(
    refused: Refused, exported: Path, calibrated: Path, tmp_path: Path
) -> None:
    message = refused("quantize", exported, "--table", calibrated, "--to", "int8", "-o", tmp_path)
    assert message.startswith(f"cannot write {tmp_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_leave_to_write_is_told(
    refused: Refused, exported: Path, calibrated: Path, tmp_path: Path
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    path = tmp_path / "closed" / "net.onnx"
    assert "cannot write" in refused("quantize", exported, "--table", calibrated, "--to", "int8", "-o", path)


@pytest.mark.usefixtures("kept_clean")
def test_a_table_that_lacks_a_range_is_refused(
    refused: Refused, affnet_file: Path, affnet_table: Path, tmp_path: Path, result: Path
) -> None:
    table = CalibrationTable.read(affnet_table)
    fewer = {name: given for name, given in table.ranges.items() if "pyramid" not in name}
    replace(table, ranges=fewer).write(tmp_path / "fewer.json")
    message = refused("quantize", affnet_file, "--table", tmp_path / "fewer.json", "--to", "int8", "-o", result)
    assert "the calibration table has no range for the tensor /network/pyramid" in message
