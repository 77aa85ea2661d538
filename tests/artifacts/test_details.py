"""The details of a manifest are typed, and those of the first format are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rtseg.artifacts.details import (
    Details,
    EngineDetails,
    ExportDetails,
    OnnxImportDetails,
    QuantizationDetails,
    TrainingDetails,
    WeightImportDetails,
    details_from_json,
    details_of_the_first_format,
)
from rtseg.artifacts.manifest import FIRST_FORMAT, FORMAT, Manifest, manifest_path, read_manifest
from rtseg.errors import ManifestError, SpecError
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

CHECKPOINTS = sorted((Path(__file__).resolve().parents[2] / "export" / "checkpoints").glob("*.safetensors"))

FIRST: dict[str, tuple[str, dict[str, Any], Details]] = {
    "a trained checkpoint": (
        "checkpoint",
        {
            "recipe": {"network": "affnet"},
            "class_shares": [0.5, 0.5],
            "history": [{"epoch": 1, "miou": 0.5}],
            "selected_epoch": 1,
            "selected_by": "x",
            "train_pictures": 3,
            "validation_pictures": 2,
            "validation_miou": 0.5,
        },
        TrainingDetails({"network": "affnet"}, "", None, (0.5, 0.5), ({"epoch": 1, "miou": 0.5},), 1, "x", 3, 2, 0.5),
    ),
    "imported weights": (
        "checkpoint",
        {"source": "w.pth", "keys": {"taken": []}},
        WeightImportDetails("w.pth", {"taken": []}),
    ),
    "a checkpoint without details": ("checkpoint", {}, Details()),
    "an export": (
        "onnx",
        {"parity": {"inputs": []}, "unsupported_by_tensorrt_8_5": ["Elu"]},
        ExportDetails({"inputs": []}, ("Elu",)),
    ),
    "an imported file": (
        "onnx",
        {"imported": "opset 11 became 17", "parity": {}, "unsupported_by_tensorrt_8_5": []},
        OnnxImportDetails("opset 11 became 17", {}, ()),
    ),
    "a quantized file": (
        "onnx",
        {
            "from": "ab",
            "network": "affnet",
            "resolution": "64x64",
            "precision": "int8",
            "target": "openvino",
            "table": None,
            "excluded": ["/a"],
            "budget": None,
            "census": {"macs": {}},
        },
        QuantizationDetails("openvino", None, ("/a",), None, (), {"macs": {}}, "ab"),
    ),
    "an engine of TensorRT": (
        "engine",
        {
            "tensorrt": "10.3.0",
            "device": "NVIDIA L4",
            "compute_capability": "8.9",
            "typed": True,
            "builder_flags": [],
            "profile": {"tf32": True},
            "build_seconds": 2,
            "from": None,
        },
        EngineDetails(
            *("tensorrt", "10.3.0", ("8.9",), False, "NVIDIA L4", True), settings={"tf32": True}, build_seconds=2
        ),
    ),
    "an engine of TensorRT for RTX": (
        "engine",
        {"runtime": "tensorrt-rtx", "tensorrt_rtx": "1.7.1", "compute_capabilities": ["8.6"], "portable": True},
        EngineDetails("tensorrt-rtx", "1.7.1", ("8.6",), True),
    ),
}


@pytest.mark.parametrize("what", FIRST)
def test_the_details_of_the_first_format_become_typed(what: str) -> None:
    kind, data, expected = FIRST[what]
    assert details_of_the_first_format(kind, data) == expected


@pytest.mark.parametrize("what", FIRST)
def test_what_was_read_from_the_first_format_is_written_in_the_present_one(what: str) -> None:
    kind, data, expected = FIRST[what]
    output = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)
    present = Manifest(kind, "affnet", {}, "", "fp32", ImageSpec(64, 96), output).to_json()
    read = Manifest.from_json({**present, "format": FIRST_FORMAT, "details": data})
    assert (read.format, read.details) == (FORMAT, expected)
    assert Manifest.from_json(json.loads(json.dumps(read.to_json()))) == read


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.name)
def test_a_shipped_file_loads_whatever_its_format(path: Path) -> None:
    details = read_manifest(path, kind="checkpoint").details_as(TrainingDetails)
    assert details.history[details.selected_epoch - 1]["miou"] == details.validation_miou


def test_files_of_the_first_format_ship() -> None:
    formats = [json.loads(manifest_path(path).read_text())["format"] for path in CHECKPOINTS]
    assert {FIRST_FORMAT, FORMAT} == set(formats)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "does not say what made the file; got None"),
        ({"made_by": ["export"]}, "does not say what made the file"),
        ({"made_by": "nobody"}, "does not say what made the file; got 'nobody'"),
        ({"made_by": "export", "surplus": 1}, "unknown details; got surplus"),
    ],
)
def test_details_that_nothing_made_are_refused(data: dict[str, Any], told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        details_from_json(data)


@pytest.mark.parametrize(
    ("made_by", "name", "value"),
    [
        ("training", "selected_epoch", "1"),
        ("training", "class_shares", 3),
        ("build", "compute_capabilities", [8.9]),
        ("build", "portable", "yes"),
        ("quantization", "table", []),
    ],
)
def test_a_field_of_another_type_is_refused_by_its_name(made_by: str, name: str, value: object) -> None:
    with pytest.raises(SpecError, match=f"{name} has the wrong type"):
        details_from_json({"made_by": made_by, name: value})


def test_details_of_another_maker_are_refused_where_one_is_expected() -> None:
    output = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)
    manifest = Manifest("onnx", "affnet", {}, "", "fp32", ImageSpec(64, 96), output, details=ExportDetails())
    assert manifest.details_as(ExportDetails) is manifest.details
    with pytest.raises(ManifestError, match="made in another way; got export; expected build"):
        manifest.details_as(EngineDetails)
