"""Making the cases with the real exporter, calibration and ONNX Runtime, and reading them again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from benchmarks.gpu_check.cases import Case, CaseFolder
from benchmarks.gpu_check.prepare import Request, shipped_checkpoints
from benchmarks.gpu_check.torch_task import loaded_network
from rtseg.errors import ArtifactError, RtsegError, UnknownNameError
from rtseg.frame.segmenter import Segmenter
from rtseg.networks.checkpoints import network_from_checkpoint
from rtseg.runners.onnxruntime import OnnxRuntimeRunner

WANTED = {("logits", "fp32"), ("logits", "fp16"), ("logits", "int8"), ("labels", "fp16"), ("scores", "fp16")}


@pytest.fixture
def copied(folder: CaseFolder, tmp_path: Path) -> CaseFolder:
    """The folder, for a test that damages it."""
    shutil.copytree(folder.folder, tmp_path / "cases")
    return CaseFolder(tmp_path / "cases")


def test_a_case_holds_a_graph_of_every_kind_in_both_forms(folder: CaseFolder) -> None:
    (case,) = folder.cases()
    assert (case.network, case.resolution) == ("affnet-small", "64x96")
    for typed in (False, True):
        assert {(g.interface, g.precision) for g in case.graphs if g.typed == typed} == WANTED


def test_a_graph_comes_back_byte_for_byte_and_is_an_onnx_model(folder: CaseFolder, case: Case) -> None:
    for stored in case.graphs:
        ready = folder.ready(stored)
        onnx.checker.check_model(ready.graph)
        operators = {node.op_type for node in onnx.load_model_from_string(ready.graph).graph.node}
        assert ("QuantizeLinear" in operators) == (ready.precision == "int8")
        assert ready.builder_flags == ((), ("FP16",), ("FP16", "INT8"))[_rank(ready.precision)] or ready.typed
        assert folder.parent(stored).sha256 == ready.source_sha256


def test_builder_flags_need_no_graph_of_their_own(case: Case) -> None:
    assert case.graph("logits", "fp16", typed=False).sha256 == case.graph("logits", "fp32", typed=False).sha256
    assert case.graph("logits", "fp16", typed=True).sha256 != case.graph("logits", "fp32", typed=True).sha256


def test_precisions_interfaces_and_forms_share_their_weights(folder: CaseFolder, case: Case) -> None:
    joined = sum(len(folder.ready(graph).graph) for graph in case.graphs)
    stored = {file for graph in case.graphs for file in (graph.skeleton, *(file for _, file in graph.constants))}
    assert sum((folder.folder / "files" / file).stat().st_size for file in stored) < 0.4 * joined


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_references_are_what_onnx_runtime_gives_for_the_stored_graph(
    folder: CaseFolder, case: Case, precision: str, tmp_path: Path
) -> None:
    stored = case.graph("logits", precision, typed=False)
    path, manifest = tmp_path / "ready.onnx", folder.parent(stored)
    path.write_bytes(folder.ready(stored).graph)
    with Segmenter(OnnxRuntimeRunner(path), manifest.image, manifest.output) as segmenter:
        for picture, expected in zip(case.pictures, folder.references(case, precision)):
            np.testing.assert_array_equal(segmenter(folder.picture(picture)[0]), expected)


def test_fp16_engines_are_held_against_the_fp32_file(folder: CaseFolder, case: Case) -> None:
    for one, other in zip(folder.references(case, "fp16"), folder.references(case, "fp32")):
        np.testing.assert_array_equal(one, other)


def test_pictures_come_with_their_truth_and_the_first_has_the_cases_size(folder: CaseFolder, case: Case) -> None:
    image, truth = folder.picture(case.pictures[0])
    assert truth is not None and image.shape == (64, 96, 3) and truth.shape == (64, 96)
    assert case.pictures[0].labelled and case.pictures[0].data == "streets"


def test_the_stored_weights_are_the_checkpoints(folder: CaseFolder, case: Case, checkpoint: Path) -> None:
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network_from_checkpoint(checkpoint).module(image)
        torch.testing.assert_close(loaded_network(folder, case)(image), expected, rtol=0, atol=0)


def test_weights_of_another_network_are_refused(copied: CaseFolder, case: Case) -> None:
    other = replace(case, weights=copied.put_arrays({"a": np.zeros(3, np.float16)}))
    with pytest.raises(ArtifactError, match="weights of affnet-small do not fit"):
        loaded_network(copied, other)


def test_an_altered_file_is_refused_by_its_name(copied: CaseFolder, case: Case) -> None:
    path = copied.folder / "files" / case.references["fp32"]
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match="not what its name says"):
        copied.references(case, "fp32")


def test_a_missing_file_is_named(copied: CaseFolder, case: Case) -> None:
    (copied.folder / "files" / case.weights).unlink()
    with pytest.raises(ArtifactError, match=f"cannot read .*{case.weights}"):
        copied.arrays(case.weights)


@pytest.mark.parametrize(
    ("content", "told"),
    [("[]", "lists no cases"), ("{", "is not JSON"), ('{"format": "rtseg-gpu-cases/1"}', "is damaged")],
)
def test_an_index_that_is_none_is_refused(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(content)
    with pytest.raises(ArtifactError, match=told):
        CaseFolder(tmp_path).cases()


def test_a_folder_without_cases_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="make gpu-cases"):
        CaseFolder(tmp_path).cases()


def test_a_graph_that_was_not_prepared_names_the_option(case: Case) -> None:
    without = replace(case, graphs=tuple(graph for graph in case.graphs if graph.typed))
    with pytest.raises(ArtifactError, match="--form flags"):
        without.graph("logits", "fp16", typed=False)


def test_files_that_no_case_names_are_removed_and_others_stay(copied: CaseFolder) -> None:
    stale = copied.put(b"of an earlier network")
    (copied.folder / "files" / "README").write_text("kept")
    copied.write_cases(copied.cases(), {})
    assert not (copied.folder / "files" / stale).exists()
    assert (copied.folder / "files" / "README").exists()
    for case in copied.cases():
        for graph in case.graphs:
            copied.ready(graph)


def test_cases_that_were_written_and_read_have_the_same_digest(copied: CaseFolder) -> None:
    (case,) = copied.cases()
    copied.write_cases([case], {"torch": "other"})
    assert copied.cases()[0].digest() == case.digest()
    assert replace(case, weights=case.references["fp32"]).digest() != case.digest()


def test_an_unknown_network_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "affnet-camvid.safetensors").touch()
    assert [path.stem for path in shipped_checkpoints((), tmp_path)] == ["affnet-camvid"]
    with pytest.raises(UnknownNameError, match="affnet-camvid"):
        shipped_checkpoints(["affnet"], tmp_path)
    with pytest.raises(RtsegError, match="expected none"):
        shipped_checkpoints((), tmp_path / "elsewhere")


def test_a_request_is_for_both_forms_unless_one_is_named() -> None:
    assert set(Request((), ()).forms) == {"flags", "typed"}


def _rank(precision: str) -> int:
    return ("fp32", "fp16", "int8").index(precision)
