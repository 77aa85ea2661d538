"""An exported file and a table in, an INT8 file with its manifest out, or nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rtseg
from rtseg.artifacts.details import QuantizationDetails
from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import Manifest, manifest_path, read_manifest, write_manifest
from rtseg.calibration.table import CalibrationTable, TensorRange
from rtseg.datasets.registry import class_spec
from rtseg.errors import CalibrationError, ManifestError, OnnxError, QuantizationError, WriteError
from rtseg.exporting.onnx_file import export_onnx
from rtseg.graphs.view import GraphView, node_name
from rtseg.networks.prepared import network_with_random_weights
from rtseg.quantization.files import (
    Original,
    default_name,
    int8_graph,
    read_original,
    read_table,
    table_facts,
    write_derived,
)
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import Resolution
from tests.quantization.small_graphs import TARGETS, relative_error, session

FilesIn = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def exported(affnet_file: Path) -> Path:
    """affnet's file: it has sums, products and reductions beside convolutions."""
    return affnet_file


@pytest.fixture(scope="module")
def calibrated(affnet_table: Path) -> Path:
    """Its table."""
    return affnet_table


@pytest.fixture
def original(exported: Path) -> Original:
    return read_original(exported)


@pytest.fixture
def table(calibrated: Path, original: Original) -> CalibrationTable:
    return read_table(calibrated, original)


def written(original: Original, table: CalibrationTable, path: Path, target: str = "tensorrt") -> Manifest:
    model, census = int8_graph(original, table, target=target)
    return write_derived(
        original, model, path, precision="int8", details=QuantizationDetails(census=census.to_json())
    ).manifest


def tampered(path: Path, change: Callable[[onnx.ModelProto], object], **facts: Any) -> Path:
    """Change the model in the file, and let its manifest tell the truth about the digest."""
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    told = Manifest.from_json(json.loads(manifest_path(path).read_text()))
    write_manifest(path, dataclasses.replace(told, **facts))
    return path


@pytest.mark.parametrize("target", TARGETS)
def test_an_int8_file_runs_and_agrees_with_fp32(
    original: Original, table: CalibrationTable, target: str, tmp_path: Path
) -> None:
    written(original, table, tmp_path / "int8.onnx", target)
    image = np.random.default_rng(5).standard_normal((1, 3, 64, 64), np.float32)
    with OnnxRuntimeRunner(original.path, threads=1) as before:
        expected = before.infer(image)
    with OnnxRuntimeRunner(tmp_path / "int8.onnx", threads=1) as after:
        assert relative_error(after.infer(image), expected) < 0.4  # weights are random: no feature is robust


@pytest.mark.parametrize("target", TARGETS)
def test_optimised_or_not_onnx_runtime_computes_what_the_file_says(
    original: Original, table: CalibrationTable, target: str
) -> None:
    model, _ = int8_graph(original, table, target=target)
    image = np.random.default_rng(5).standard_normal((1, 3, 64, 64), np.float32)
    plain, optimised = (session(model, optimized=on).run(None, {"image": image})[0] for on in (False, True))
    assert relative_error(optimised, plain) < 0.1


def test_a_segmenter_takes_an_int8_file_like_any_other(
    original: Original, table: CalibrationTable, tmp_path: Path
) -> None:
    written(original, table, tmp_path / "int8.onnx")
    with rtseg.load(tmp_path / "int8.onnx", threads=1) as segmenter:
        assert segmenter(np.zeros((48, 64, 3), np.uint8)).shape == (48, 64)


def test_the_manifest_names_the_parent_and_tells_how_it_was_made(
    original: Original, table: CalibrationTable, tmp_path: Path
) -> None:
    given = written(original, table, tmp_path / "int8.onnx")
    manifest = read_manifest(tmp_path / "int8.onnx", kind="onnx")
    assert manifest == given
    assert manifest.precision == "int8"
    assert manifest.parent_sha256 == original.manifest.sha256
    assert manifest.details.grandparent_sha256 == original.manifest.parent_sha256
    assert manifest.details.census["macs"]["int8"] > 0
    assert (manifest.image, manifest.output, manifest.network, manifest.weights) == (
        original.manifest.image,
        original.manifest.output,
        original.manifest.network,
        original.manifest.weights,
    )


def test_the_same_table_gives_the_same_bytes(original: Original, table: CalibrationTable, tmp_path: Path) -> None:
    digests = {written(original, table, tmp_path / f"{index}.onnx").sha256 for index in range(2)}
    assert len(digests) == 1


def test_a_file_that_is_int8_already_is_refused(original: Original, table: CalibrationTable, tmp_path: Path) -> None:
    written(original, table, tmp_path / "int8.onnx")
    with pytest.raises(QuantizationError, match="is not an FP32 file; got int8; expected fp32"):
        read_original(tmp_path / "int8.onnx")


def test_a_file_without_its_manifest_is_refused(export_copy: Path) -> None:
    manifest_path(export_copy).unlink()
    with pytest.raises(ManifestError, match="copy both, the file and its manifest"):
        read_original(export_copy)


def test_a_file_that_breaks_the_canonical_contract_is_refused(export_copy: Path) -> None:
    with pytest.raises(OnnxError, match="another IR version"):
        read_original(tampered(export_copy, lambda model: setattr(model, "ir_version", 9)))


def test_a_table_of_another_graph_is_refused(calibrated: Path, export_copy: Path) -> None:
    def renamed(model: onnx.ModelProto) -> None:
        model.graph.node[0].output[0] = "elsewhere"
        for node in model.graph.node:
            for position, name in enumerate(node.input):
                if name == "/network/down/down.0/conv/Conv_output_0":
                    node.input[position] = "elsewhere"

    other = read_original(tampered(export_copy, renamed))
    with pytest.raises(CalibrationError, match=r"is of another graph than .*copy\.onnx.*rtseg calibrate"):
        read_table(calibrated, other)


def test_a_table_serves_another_export_of_the_same_checkpoint(calibrated: Path, export_copy: Path) -> None:
    table = CalibrationTable.read(calibrated)
    of_checkpoint = dataclasses.replace(table, parent_sha256="c" * 64)
    of_checkpoint.write(export_copy.with_name("table.json"))
    path = tampered(export_copy, lambda model: setattr(model, "producer_version", "9.9"), parent_sha256="c" * 64)
    again = read_original(path)
    assert again.manifest.sha256 != table.onnx_sha256
    assert read_table(export_copy.with_name("table.json"), again).ranges == table.ranges


def test_a_table_without_a_range_that_is_needed_is_refused(original: Original, table: CalibrationTable) -> None:
    fewer = dataclasses.replace(table, ranges={"image": TensorRange(1.0, -1.0, 1.0)})
    with pytest.raises(QuantizationError, match="no range for the tensor /network"):
        int8_graph(original, fewer, target="tensorrt")


@pytest.mark.parametrize("target", TARGETS)
def test_where_nothing_would_become_int8_the_reasons_are_told(
    original: Original, table: CalibrationTable, target: str
) -> None:
    every = {node_name(node) for node in GraphView(original.model).nodes}
    with pytest.raises(QuantizationError, match=r"nothing of .* would become INT8; got .*excluded"):
        int8_graph(original, table, target=target, excluded=every)


def test_the_original_is_never_overwritten(export_copy: Path, calibrated: Path, files_in: FilesIn) -> None:
    original = read_original(export_copy)
    model, _ = int8_graph(original, read_table(calibrated, original), target="tensorrt")
    link = export_copy.with_name("link.onnx")
    link.symlink_to(export_copy)
    before = sha256_of(export_copy), sha256_of(manifest_path(export_copy)), files_in(export_copy.parent)
    for path in (export_copy, link, manifest_path(export_copy), export_copy.parent / "." / export_copy.name):
        with pytest.raises(QuantizationError, match="would overwrite"):
            write_derived(original, model, path, precision="int8")
    assert before == (sha256_of(export_copy), sha256_of(manifest_path(export_copy)), files_in(export_copy.parent))


def test_a_graph_that_gives_no_finite_numbers_is_not_written(
    original: Original, table: CalibrationTable, tmp_path: Path, files_in: FilesIn
) -> None:
    model, _ = int8_graph(original, table, target="tensorrt")
    for entry in model.graph.initializer:
        if entry.name.endswith("bias"):
            entry.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(entry.dims), np.inf, np.float32), entry.name))
    with pytest.raises(QuantizationError, match="not finite"):
        write_derived(original, model, tmp_path / "int8.onnx", precision="int8")
    assert files_in(tmp_path) == []


def test_nothing_is_left_where_the_file_cannot_be_written(
    original: Original, table: CalibrationTable, tmp_path: Path, files_in: FilesIn
) -> None:
    (tmp_path / "int8.onnx").mkdir()
    with pytest.raises(WriteError):
        written(original, table, tmp_path / "int8.onnx")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("precision", "target", "name"),
    [
        ("int8", "tensorrt", "net.labels.int8.onnx"),
        ("int8", "onnxruntime", "net.labels.int8-onnxruntime.onnx"),
        ("fp16", "tensorrt", "net.labels.fp16.onnx"),
        ("fp16", "onnxruntime", "net.labels.fp16.onnx"),
    ],
)
def test_the_name_says_what_is_inside(original: Original, precision: str, target: str, name: str) -> None:
    moved = dataclasses.replace(
        original, artifact=dataclasses.replace(original.artifact, path=Path("exports/net.labels.onnx"))
    )
    assert default_name(moved, precision, target) == Path("exports") / name


def test_the_facts_of_a_table_say_what_it_was_made_from(calibrated: Path, table: CalibrationTable) -> None:
    facts = table_facts(sha256_of(calibrated), table)
    assert facts == {
        "sha256": sha256_of(calibrated),
        "method": "minmax",
        "data": "random",
        "split": "train",
        "pictures": 3,
    }


def test_the_labels_interface_becomes_int8_behind_its_normalisation(tmp_path: Path) -> None:
    network = network_with_random_weights("affnet", class_spec("camvid"), seed=1)
    export_onnx(network, Resolution(64, 64), tmp_path / "net.onnx", interface="labels")
    original = read_original(tmp_path / "net.onnx")
    view = GraphView(original.model)
    table = CalibrationTable(
        network="affnet",
        onnx_sha256=original.manifest.sha256,
        structure_sha256="0" * 64,
        parent_sha256=None,
        image=original.manifest.image,
        method="minmax",
        percentile=None,
        data="made",
        split="train",
        pictures=(),
        ranges={name: TensorRange(3.0, -3.0, 3.0) for name in view.activations()},
        convergence={},
        tools={},
    )
    model, census = int8_graph(original, table, target="tensorrt")
    assert view.element_type(view.input) == onnx.TensorProto.UINT8
    assert census.int8_share > 0.9
    manifest = write_derived(original, model, tmp_path / "int8.onnx", precision="int8").manifest
    assert (manifest.output.interface, manifest.precision) == ("labels", "int8")


def test_a_broken_table_is_refused(original: Original, calibrated: Path, tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(calibrated.read_text()[:-40])
    with pytest.raises(CalibrationError, match="is not a calibration table"):
        read_table(tmp_path / "table.json", original)
