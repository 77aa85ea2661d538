"""What OpenVINO stores of a file gives the labels that the file gives, and is proven before it gets its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rtseg
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import OpenVinoDetails
from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import manifest_path, read_manifest, weights_path, write_manifest
from rtseg.engines import openvino_building
from rtseg.engines.openvino_building import build_openvino
from rtseg.errors import ManifestError, RtsegError, RunnerError, SpecError, WriteError
from rtseg.runners import openvino_model
from tests.observers import Recorder

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def require_same_labels(graph: Path, stored: Artifact) -> None:
    with rtseg.load(graph, runner="openvino", threads=1) as one, rtseg.load(stored.path, threads=1) as other:
        assert other.runner.backend == "openvino"
        for height, width in ((64, 64), (31, 117)):
            image = picture(height, width)
            np.testing.assert_array_equal(other(image), one(image))
            assert one.runner.infer(one.tensor(image)).tobytes() == other.runner.infer(one.tensor(image)).tobytes()


def test_the_labels_of_a_float_file_are_the_same(export_copy: Path) -> None:
    require_same_labels(export_copy, build_openvino(export_copy))


@pytest.mark.parametrize("target", ["tensorrt", "openvino"])
def test_the_labels_of_an_int8_file_are_the_same(exported: Path, calibrated: Path, tmp_path: Path, target: str) -> None:
    graph = rtseg.quantize(exported, calibrated, tmp_path / "q.onnx", to="int8", target=target).artifact.path
    stored = build_openvino(graph)
    require_same_labels(graph, stored)
    details = stored.manifest.details_as(OpenVinoDetails)
    assert details.target == target
    assert details.compared_with.startswith("onnxruntime ") and details.notes == ()
    assert details.identical_on == ("random input", "large input of both signs")


def test_the_labels_of_an_fp16_file_are_the_same(exported: Path, tmp_path: Path) -> None:
    graph = rtseg.quantize(exported, None, tmp_path / "q.onnx", to="fp16").artifact.path
    require_same_labels(graph, build_openvino(graph))


def test_the_manifest_tells_where_it_came_from_and_both_digests(export_copy: Path) -> None:
    stored = build_openvino(export_copy)
    assert stored.path == export_copy.with_name(f"{export_copy.stem}.openvino.xml")
    parent, manifest = read_manifest(export_copy, kind="onnx"), read_manifest(stored.path, kind="openvino")
    assert (manifest.parent_sha256, manifest.image, manifest.output) == (parent.sha256, parent.image, parent.output)
    details = manifest.details_as(OpenVinoDetails)
    assert manifest.sha256 == sha256_of(stored.path)
    assert details.weights_sha256 == sha256_of(stored.path.with_name(f"{export_copy.stem}.openvino.bin"))
    assert details.release == metadata.version("openvino") == manifest.tools["openvino"]


@pytest.mark.parametrize("of", [lambda path: path, weights_path], ids=["graph", "constants"])
def test_an_altered_byte_is_refused_by_whatever_opens_the_model(export_copy: Path, of: Callable[[Path], Path]) -> None:
    stored = build_openvino(export_copy)
    altered = of(stored.path)
    content = bytearray(altered.read_bytes())
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    for opened in (rtseg.load, Artifact.open):
        with pytest.raises(
            ManifestError, match=rf"{altered.name} does not match .*rtseg build ONNX --runtime openvino"
        ):
            opened(stored.path)
    with pytest.raises(ManifestError, match=rf"{altered.name} does not match"):
        rtseg.load(stored)  # verified before, altered since


def test_a_model_without_its_constants_is_refused(export_copy: Path) -> None:
    stored = build_openvino(export_copy)
    weights_path(stored.path).unlink()
    for opened in (rtseg.load, Artifact.open):
        with pytest.raises(ManifestError, match=r"cannot read .*\.bin, the constants of .*\.xml: No such file"):
            opened(stored.path)


def test_who_names_the_constants_is_told_the_name_of_the_graph(export_copy: Path) -> None:
    stored = build_openvino(export_copy)
    with pytest.raises(
        ManifestError, match=r"has no manifest beside it.* Try: pass .*\.xml, whose constants are in this file"
    ):
        rtseg.load(weights_path(stored.path))


def test_a_model_whose_graph_states_another_contract_is_refused(export_copy: Path) -> None:
    stored = build_openvino(export_copy)
    text = stored.path.read_text(encoding="utf-8")
    assert "&quot;RGB&quot;" in text
    stored.path.write_text(text.replace("&quot;RGB&quot;", "&quot;BGR&quot;"), encoding="utf-8")
    write_manifest(stored.path, stored.manifest)
    with pytest.raises(ManifestError, match=r"state different contracts: rtseg\.image; got .*BGR"):
        rtseg.load(stored.path)


def test_where_the_stored_model_gives_other_results_nothing_is_written(
    export_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files_in: Callable[[Path], list[str]]
) -> None:
    def store_another(model: Any, xml: Path, weights: Path) -> None:
        openvino_model.store_model(model, xml, weights)
        content = np.frombuffer(weights.read_bytes(), np.uint8).copy()
        content[content.size // 2 :][:4096] ^= 1  # among the weights of convolutions
        weights.write_bytes(content.tobytes())

    monkeypatch.setattr(openvino_building, "store_model", store_another)
    before = files_in(tmp_path)
    with pytest.raises(RunnerError, match=r"OpenVINO stored differ from .*; got other values on .*the same bits"):
        build_openvino(export_copy)
    assert files_in(tmp_path) == before


def test_where_the_file_itself_comes_out_wrong_nothing_is_written(
    exported: Path,
    calibrated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files_in: Callable[[Path], list[str]],
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    graph = rtseg.quantize(exported, calibrated, tmp_path / "q.onnx", to="int8").artifact.path
    real = openvino_model.onnx_model

    def shifted(path: Path) -> Any:
        model = real(path)
        operators = openvino_model.openvino_package().opset13
        last = model.get_results()[0].input(0)
        last.replace_source_output(operators.negative(last.get_source_output()).output(0))
        return model

    monkeypatch.setattr("rtseg.runners.openvino.onnx_model", shifted)
    monkeypatch.setattr(openvino_building, "onnx_model", shifted)
    before = files_in(tmp_path)
    with pytest.raises(RunnerError, match="the results of openvino differ from those of ONNX Runtime on"):
        build_openvino(graph)
    assert [name for name in files_in(tmp_path) if "cache" not in name] == before


def test_a_release_that_it_was_not_proven_with_is_told(export_copy: Path) -> None:
    stored = build_openvino(export_copy)
    details = stored.manifest.details_as(OpenVinoDetails)
    older = replace(details, release="2025.1.0", notes=("not compared",))
    write_manifest(stored.path, replace(stored.manifest, details=older))
    with rtseg.load(stored.path) as segmenter:
        first, second = segmenter.runner.notes
    assert first == "not compared"
    assert "was proven with OpenVINO 2025.1.0, and this is" in second


def test_a_file_that_states_its_contracts_needs_no_manifest(export_copy: Path) -> None:
    require = rtseg.load(export_copy, runner="openvino")
    manifest_path(export_copy).unlink()
    told = Recorder()
    stored = build_openvino(export_copy, observer=told)
    with require, rtseg.load(stored) as segmenter:
        image = picture(64, 64)
        np.testing.assert_array_equal(segmenter(image), require(image))
    assert any("has no manifest" in note for note in told.notes)


def test_the_precision_is_that_of_the_file(export_copy: Path) -> None:
    build_openvino(export_copy, precision="fp32")
    with pytest.raises(
        SpecError, match=r"got int8; expected fp32, the file's precision. Try: run rtseg quantize .* --to int8"
    ):
        build_openvino(export_copy, precision="int8")


def test_a_name_by_which_openvino_would_not_read_it_is_refused(export_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"got m\.bin; expected NAME\.xml, its constants in NAME\.bin"):
        build_openvino(export_copy, tmp_path / "m.bin")


@pytest.mark.parametrize("kept", ["m.xml", "m.bin", "m.xml.json"])
def test_what_is_no_file_is_not_replaced(export_copy: Path, tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).mkdir()
    with pytest.raises(WriteError, match="is a folder"):
        build_openvino(export_copy, tmp_path / "m.xml")
    assert (tmp_path / kept).is_dir()


def test_the_source_is_not_overwritten(export_copy: Path) -> None:
    source = export_copy.with_name("a.bin")
    shutil.copy(export_copy, source)
    shutil.copy(manifest_path(export_copy), manifest_path(source))
    content = source.read_bytes()
    with pytest.raises(WriteError, match=r"writing .*a\.bin would overwrite what belongs to .*a\.bin"):
        build_openvino(source, source.with_name("a.xml"))
    assert source.read_bytes() == content


def test_an_altered_file_is_refused_before_openvino_reads_it(export_copy: Path) -> None:
    model = onnx.load(export_copy)
    model.producer_name = "somebody else"
    onnx.save(model, export_copy)
    with pytest.raises(RtsegError, match="does not match its manifest"):
        build_openvino(export_copy)
