"""The contracts that a graph states itself, in its metadata and by its two ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.errors import OnnxError
from rtseg.graphs.contract import graph_precision, stated_contract, stated_manifest
from rtseg.quantization.fp16 import to_fp16
from rtseg.specs import contract_metadata


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
    with pytest.raises(OnnxError, match=r"is not what its contract says; got \(1, 3, 64, 64\)"):
        stated_contract(model, "the graph")


@pytest.mark.parametrize("value", ["", "{", "{}", "[1]"])
def test_metadata_that_are_no_contract_are_refused(exported: Path, value: str) -> None:
    model = onnx.load(exported)
    onnx.helper.set_model_props(model, {"rtseg.image": value, "rtseg.output": value})
    with pytest.raises(OnnxError, match="the metadata of the graph holds no contract of rtseg"):
        stated_contract(model, "the graph")


def test_a_graph_without_contracts_is_told_the_command_that_states_them(export_copy: Path) -> None:
    model = onnx.load(export_copy)
    del model.metadata_props[:]
    onnx.save(model, export_copy)
    with pytest.raises(OnnxError, match=r"states no contract. Try: rtseg import-onnx .* with --classes NAME\|N, "):
        stated_manifest(export_copy)
