"""The contracts that a graph states itself, in its metadata and by its two ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.errors import OnnxError
from rtseg.graphs.contract import graph_precision, stated_contract, stated_manifest
from rtseg.quantization.fp16 import to_fp16
from rtseg.specs import contract_metadata

SHIPPED = sorted((Path(__file__).resolve().parents[1] / "gpu" / "data").glob("*.onnx"))


def test_a_file_that_lost_its_manifest_states_the_same_contracts(export_copy: Path) -> None:
    lost = read_manifest(export_copy, kind="onnx")
    manifest_path(export_copy).unlink()
    stated = stated_manifest(export_copy)
    assert (stated.image, stated.output, stated.precision) == (lost.image, lost.output, "fp32")
    assert (stated.sha256, stated.network) == (lost.sha256, "copy")
    assert stated.weights == f"imported from {export_copy.name}"


def test_the_precision_is_read_off_the_graph(exported: Path) -> None:
    model = onnx.load(exported)
    assert graph_precision(model) == "fp32"
    assert graph_precision(to_fp16(model).model) == "fp16"


def test_metadata_that_tell_of_another_graph_are_refused(exported: Path) -> None:
    manifest = read_manifest(exported, kind="onnx")
    other = replace(manifest.image, height=128)
    model = onnx.load(exported)
    onnx.helper.set_model_props(model, contract_metadata(other, manifest.output))
    with pytest.raises(OnnxError, match=r"has another input or output than its metadata states; got \(1, 3, 64, 96\)"):
        stated_contract(model, "the graph")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_graph_states_contracts_of_the_first_version_in_the_text_that_is_still_written(path: Path) -> None:
    model = onnx.load(path)
    stated = {entry.key: entry.value for entry in model.metadata_props if entry.key.startswith("rtseg.")}
    assert all("version" not in json.loads(text) for text in stated.values())
    found = stated_contract(model, "the graph")
    assert found is not None
    image, output = found
    assert (image.fit, output.threshold) == ("stretch", None)
    assert contract_metadata(image, output) == stated


def test_a_graph_of_a_newer_contract_is_refused_by_its_version(exported: Path) -> None:
    model = onnx.load(exported)
    stated = {entry.key: json.loads(entry.value) for entry in model.metadata_props if entry.key.startswith("rtseg.")}
    newer = {key: json.dumps({**contract, "version": 3, "tomorrow": True}) for key, contract in stated.items()}
    onnx.helper.set_model_props(model, newer)
    with pytest.raises(
        OnnxError, match=r"is of a newer version; got 3; expected 2 or less\. Try: install a newer rtseg"
    ):
        stated_contract(model, "the graph")


@pytest.mark.parametrize("value", ["", "{", "{}", "[1]"])
def test_metadata_that_are_no_contract_are_refused(exported: Path, value: str) -> None:
    model = onnx.load(exported)
    onnx.helper.set_model_props(model, {"rtseg.image": value, "rtseg.output": value})
    with pytest.raises(OnnxError, match="the metadata of the graph describes its input or output wrongly"):
        stated_contract(model, "the graph")


def test_a_graph_without_contracts_is_told_the_command_that_states_them(export_copy: Path) -> None:
    model = onnx.load(export_copy)
    del model.metadata_props[:]
    onnx.save(model, export_copy)
    with pytest.raises(
        OnnxError, match=r"does not describe its input and output. Try: run rtseg import-onnx .* --classes 11 --norm"
    ):
        stated_manifest(export_copy)
