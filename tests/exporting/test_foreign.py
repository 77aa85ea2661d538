"""Anybody's ONNX file, made canonical and proven to compute the same, or refused with what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rtseg
from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import manifest_path, read_manifest, read_sidecar, write_manifest
from rtseg.artifacts.onnx_bytes import external_files
from rtseg.datasets.registry import class_spec
from rtseg.errors import ManifestError, OnnxError, ParityError, RtsegError, SpecError
from rtseg.exporting import foreign
from rtseg.exporting.foreign import canonical_import
from rtseg.exporting.foreign_contract import ContractOptions
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.contract import stated_manifest
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import IMAGENET_NORMALIZATION

CLASSES = 7
SAID = ContractOptions(class_spec(str(CLASSES)), IMAGENET_NORMALIZATION, align_corners=True)
FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def write_network(
    path: Path,
    *,
    opset: int = 17,
    ir_version: int = 8,
    source: tuple[object, ...] = (1, 3, 32, 48),
    stride: int = 4,
    domain: str = "",
) -> Path:
    """Write a strided convolution plus the mean of its map, whose axes are an attribute before opset 18."""
    random = np.random.default_rng(0)
    constants = {
        "weight": random.standard_normal((CLASSES, 3, 3, 3)).astype(np.float32),
        "bias": random.standard_normal(CLASSES).astype(np.float32),
    }
    if opset >= 18:
        constants["axes"] = np.array([2, 3])
        mean = helper.make_node("ReduceMean", ["map", "axes"], ["mean"], keepdims=1)
    else:
        mean = helper.make_node("ReduceMean", ["map"], ["mean"], axes=[2, 3], keepdims=1)
    nodes = [
        helper.make_node("Conv", ["x", "weight", "bias"], ["map"], strides=[stride] * 2, pads=[1] * 4, domain=domain),
        mean,
        helper.make_node("Add", ["map", "mean"], ["y"]),
    ]
    result = (source[0], CLASSES, *(side // stride if isinstance(side, int) else side for side in source[2:]))
    inputs = [helper.make_tensor_value_info("x", FLOAT, source)]
    if ir_version < 4:
        inputs += [
            helper.make_tensor_value_info(name, FLOAT if value.dtype == np.float32 else TensorProto.INT64, value.shape)
            for name, value in constants.items()
        ]
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        [helper.make_tensor_value_info("y", FLOAT, result)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version), path)
    return path


@pytest.fixture
def foreign_file(tmp_path: Path) -> Path:
    return write_network(tmp_path / "mine.onnx")


def result_of(path: Path) -> np.ndarray:
    with OnnxRuntimeRunner(path, threads=1) as runner:
        return runner.infer(np.random.default_rng(1).standard_normal((1, 3, 32, 48), np.float32))


@pytest.mark.parametrize(("opset", "ir_version"), [(11, 3), (13, 7), (17, 8), (17, 9), (18, 8), (20, 10)])
def test_a_file_of_another_opset_becomes_canonical_and_computes_the_same(
    tmp_path: Path, opset: int, ir_version: int
) -> None:
    source = write_network(tmp_path / "mine.onnx", opset=opset, ir_version=ir_version)
    imported = canonical_import(source, said=SAID)
    assert imported.artifact.path == tmp_path / "mine.canonical.onnx"
    read_canonical(imported.artifact.path)
    np.testing.assert_allclose(result_of(imported.artifact.path), result_of(source), rtol=1e-5, atol=1e-5)
    assert (f"opset {opset} became 17" in imported.account) == (opset != 17)
    assert (f"IR {ir_version} became 8" in imported.account) == (ir_version != 8)


def test_size_interface_and_stride_are_read_off_the_graph(foreign_file: Path) -> None:
    manifest = canonical_import(foreign_file, said=SAID).artifact.manifest
    assert str(manifest.image.resolution) == "32x48"
    assert (manifest.output.interface, manifest.output.stride, manifest.output.align_corners) == ("logits", 4, True)
    assert (manifest.network, manifest.precision, manifest.parent_sha256) == ("mine", "fp32", sha256_of(foreign_file))
    assert manifest.weights == "imported from mine.onnx"


def test_an_output_of_the_images_size_is_scores_and_needs_no_rule(tmp_path: Path) -> None:
    source = write_network(tmp_path / "mine.onnx", stride=1)
    output = canonical_import(source, said=ContractOptions(SAID.classes, SAID.normalization)).artifact.manifest.output
    assert (output.interface, output.stride) == ("scores", 1)


def test_what_was_imported_runs_on_pictures_of_any_size(foreign_file: Path) -> None:
    with rtseg.load(canonical_import(foreign_file, said=SAID).artifact.path, threads=1) as segmenter:
        labels = segmenter(np.zeros((40, 60, 3), np.uint8))
    assert labels.shape == (40, 60) and labels.max() < CLASSES


def test_a_file_that_lost_its_manifest_gets_it_back_and_stays_as_it_is(export_copy: Path) -> None:
    lost, content = read_manifest(export_copy, kind="onnx"), export_copy.read_bytes()
    manifest_path(export_copy).unlink()
    imported = canonical_import(export_copy)
    assert (imported.artifact.path, imported.parity) == (export_copy, None)
    found = read_manifest(export_copy, kind="onnx")
    assert (found.image, found.output, found.sha256) == (lost.image, lost.output, lost.sha256)
    assert export_copy.read_bytes() == content


def test_a_manifest_that_is_there_is_not_written_over(export_copy: Path) -> None:
    before = manifest_path(export_copy).read_bytes()
    with pytest.raises(OnnxError, match=r"has a manifest already, .*copy\.onnx\.json"):
        canonical_import(export_copy)
    with pytest.raises(OnnxError, match=r"copy\.onnx has a manifest already"):
        canonical_import(export_copy, export_copy.with_name("another.onnx"))
    assert manifest_path(export_copy).read_bytes() == before


def test_a_file_that_states_its_contracts_is_not_told_others(export_copy: Path) -> None:
    manifest_path(export_copy).unlink()
    with pytest.raises(SpecError, match="already describes its input and output"):
        canonical_import(export_copy, said=SAID)


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        (ContractOptions(), "--classes NAME|N, --normalization imagenet|unit (or --mean, --std and --scale), --align"),
        (ContractOptions(SAID.classes), "Try: pass --normalization"),
        (ContractOptions(SAID.classes, SAID.normalization), "Try: pass --align-corners or --no-align-corners"),
    ],
)
def test_what_nobody_said_is_asked_for_by_the_options_name(
    foreign_file: Path, said: ContractOptions, missing: str
) -> None:
    with pytest.raises(SpecError, match="does not describe its input and output") as refused:
        canonical_import(foreign_file, said=said)
    assert missing in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"source": ("n", 3, "height", "width")},
            "got nx3xheightxwidth; expected sizes in numbers. Try: pass --res",
        ),
        ({"opset": 9}, "has an opset that is too old; got 9; expected 11 or newer"),
        ({"opset": 99}, "has an opset that is too new; got 99; expected at most"),
        ({"domain": "com.acme"}, r"operators that are not ONNX's own; got com.acme.Conv"),
        ({"stride": 3, "source": (1, 3, 33, 48)}, "has the shape of logits; got y .1, 7, 11, 16."),
    ],
)
def test_a_graph_that_cannot_be_taken_is_refused_and_nothing_is_written(
    tmp_path: Path, files_in: Callable[[Path], list[str]], settings: dict[str, object], told: str
) -> None:
    source = write_network(tmp_path / "mine.onnx", **settings)  # type: ignore[arg-type]
    with pytest.raises(RtsegError, match=told):
        canonical_import(source, said=SAID)
    assert files_in(tmp_path) == ["mine.onnx"]


def test_a_number_of_classes_that_is_not_the_graphs_is_refused(foreign_file: Path) -> None:
    with pytest.raises(SpecError, match="another number of classes; got 11; expected 7"):
        canonical_import(foreign_file, said=ContractOptions(class_spec("camvid"), SAID.normalization, True))


def test_a_conversion_that_changes_what_is_computed_is_found_out(
    tmp_path: Path, files_in: Callable[[Path], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_network(tmp_path / "mine.onnx", opset=18)
    other = onnx.load(write_network(tmp_path / "other.onnx", opset=17))
    bias = next(entry for entry in other.graph.initializer if entry.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(1), "bias"))
    monkeypatch.setattr(foreign, "with_canonical_opset", lambda model, label: (other, []))
    before = files_in(tmp_path)
    with pytest.raises(ParityError, match="disagrees"):
        canonical_import(source, said=SAID)
    assert files_in(tmp_path) == before


def test_the_result_does_not_take_the_place_of_the_file(foreign_file: Path) -> None:
    content = foreign_file.read_bytes()
    with pytest.raises(OnnxError, match="would overwrite"):
        canonical_import(foreign_file, foreign_file, said=SAID)
    assert foreign_file.read_bytes() == content


def scattered(path: Path) -> Path:
    """Write a network whose weights lie in a file beside it."""
    model = onnx.load(write_network(path))
    onnx.save(model, path, save_as_external_data=True, location=f"{path.stem}.data", size_threshold=0)
    return path


def test_weights_in_another_file_are_taken_in(tmp_path: Path) -> None:
    source = scattered(tmp_path / "mine.onnx")
    expected = result_of(source)
    made = canonical_import(source, said=SAID).artifact.path
    (tmp_path / "mine.data").unlink()
    assert external_files(made) == []
    np.testing.assert_allclose(result_of(made), expected, rtol=0, atol=1e-4)


def test_a_file_of_rtseg_with_its_weights_put_beside_it_gets_in_again(foreign_file: Path, tmp_path: Path) -> None:
    made = canonical_import(foreign_file, said=SAID).artifact.path
    expected = result_of(made)
    onnx.save(onnx.load(made), made, save_as_external_data=True, location="moved.data", size_threshold=0)
    write_manifest(made, replace(read_sidecar(made, kind="onnx"), sha256=""))
    with pytest.raises(ManifestError, match=r"which its digest does not cover; got moved\.data"):
        rtseg.load(made)
    again = canonical_import(made).artifact.path
    assert again != made and external_files(again) == []
    np.testing.assert_array_equal(result_of(again), expected)
    with rtseg.load(again, threads=1) as segmenter:
        assert segmenter.output.classes.names == SAID.classes.names


def test_a_file_without_a_manifest_is_not_built_from_weights_that_nothing_covers(tmp_path: Path) -> None:
    made = canonical_import(write_network(tmp_path / "mine.onnx"), said=SAID).artifact.path
    onnx.save(onnx.load(made), made, save_as_external_data=True, location="moved.data", size_threshold=0)
    manifest_path(made).unlink()
    with pytest.raises(ManifestError, match="does not cover"):
        stated_manifest(made)
