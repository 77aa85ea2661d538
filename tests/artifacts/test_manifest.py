"""Files and manifests: written whole or not at all, read only when they belong together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.artifacts.details import (
    Details,
    EngineDetails,
    ExportDetails,
    OnnxImportDetails,
    OpenVinoDetails,
    QuantizationDetails,
    TrainingDetails,
    WeightImportDetails,
)
from rtseg.artifacts.files import (
    require_writable,
    sha256_of,
    write_text_atomically,
    written_atomically,
    written_together,
)
from rtseg.artifacts.manifest import (
    KINDS,
    Manifest,
    manifest_path,
    read_manifest,
    require_separate,
    write_manifest,
)
from rtseg.errors import ManifestError, WriteError
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

IMAGE = ImageSpec(64, 96)
OUTPUT = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)
MANIFEST = Manifest("onnx", "affnet", {"fusion": "ewa"}, "random (seed 0)", "fp32", IMAGE, OUTPUT)

SHORT = st.text(max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | SHORT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHORT, inner, max_size=3),
    max_leaves=8,
)

MAKERS: tuple[Callable[[Mapping[str, Any]], Details], ...] = (
    lambda report: Details(),
    lambda report: TrainingDetails(recipe=report, history=(report,), class_shares=(0.25, 0.75)),
    lambda report: WeightImportDetails("w.pth", report),
    lambda report: ExportDetails(report, ("Elu",)),
    lambda report: OnnxImportDetails("opset 11 became 17", report),
    lambda report: QuantizationDetails("tensorrt", report, ("a", "b"), budget=None, census=report),
    lambda report: EngineDetails("tensorrt", "10.3.0", ("8.9",), settings=report, audit=report),
    lambda report: OpenVinoDetails("openvino", "2026.4.1", "0" * 64, identical_on=("random input",), build_seconds=0.5),
)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Manifests


@given(
    kind=st.sampled_from(KINDS),
    texts=st.tuples(SHORT, SHORT, SHORT, SHORT, SHORT),
    parent=st.none() | SHORT,
    options=st.dictionaries(SHORT, PLAIN, max_size=3),
    tools=st.dictionaries(SHORT, SHORT, max_size=3),
    report=st.dictionaries(SHORT, PLAIN, max_size=3),
    details=st.sampled_from(MAKERS),
)
def test_a_manifest_survives_json(
    kind: str,
    texts: tuple[str, str, str, str, str],
    parent: str | None,
    options: Mapping[str, Any],
    tools: Mapping[str, str],
    report: Mapping[str, Any],
    details: Callable[[Mapping[str, Any]], Details],
) -> None:
    network, weights, precision, sha256, device = texts
    manifest = Manifest(
        kind, network, options, weights, precision, IMAGE, OUTPUT, sha256, parent, device, tools, details(report)
    )
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


@given(PLAIN)
def test_anything_else_is_refused_by_name(data: object) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(data)


def test_a_manifest_holds_contracts_of_the_later_version() -> None:
    image, output = replace(IMAGE, fit="letterbox", padding=0), replace(OUTPUT, threshold=0.5)
    manifest = replace(MANIFEST, image=image, output=output)
    data = json.loads(json.dumps(manifest.to_json()))
    assert (data["format"], data["image"]["version"], data["output"]["version"]) == ("rtseg/2", 2, 2)
    assert Manifest.from_json(data) == manifest


@pytest.mark.parametrize(("contract", "name"), [("image", "ImageSpec"), ("output", "OutputSpec")])
def test_a_manifest_whose_contract_is_newer_is_refused_by_its_version(tmp_path: Path, contract: str, name: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"graph")
    data = MANIFEST.to_json()
    data[contract] = {**data[contract], "version": 3, "tomorrow": True}
    manifest_path(path).write_text(json.dumps(data))
    with pytest.raises(ManifestError, match=rf"{name} is of a newer version; got 3; expected 2 or less"):
        read_manifest(path, kind="onnx")


def test_a_manifest_of_another_kind_or_format_cannot_be_made() -> None:
    with pytest.raises(ManifestError, match="unknown kind of artifact; got 'picture'"):
        replace(MANIFEST, kind="picture")
    with pytest.raises(ManifestError, match="has an unsupported format; got 'rtseg/3'; expected 'rtseg/2'"):
        replace(MANIFEST, format="rtseg/3")


def test_writing_a_manifest_fills_in_the_digest_and_the_tools(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"content")
    written = write_manifest(path, MANIFEST)
    assert written.sha256 == sha256_of(path)
    assert {"python", "rtseg", "numpy"} <= set(written.tools)
    assert read_manifest(path, kind="onnx") == written


def test_a_file_without_its_name_yet_says_where_its_sidecar_goes(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with written_together(path, manifest_path(path)) as (part, sidecar):
        part.write_bytes(b"content")
        write_manifest(part, MANIFEST, sidecar=sidecar)
        assert not path.exists() and not manifest_path(path).exists()
    assert listed(tmp_path) == ["x.onnx", "x.onnx.json"]
    assert read_manifest(path, kind="onnx").sha256 == sha256_of(path)


def test_the_digest_of_a_file_that_was_changed_is_told_from_its_manifests(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"content")
    stated = write_manifest(path, MANIFEST).sha256
    path.write_bytes(b"CONTENT")
    with pytest.raises(ManifestError, match=rf"got sha256 {sha256_of(path)[:12]}; expected sha256 {stated[:12]}"):
        read_manifest(path, kind="onnx")


# Writing


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with written_atomically(tmp_path / "new" / "x.txt") as part:
        part.write_text("half")
        assert listed(tmp_path / "new") == [part.name]
        assert part.name.startswith(".") and ".part" in part.name and part.suffix == ".txt"
    assert listed(tmp_path / "new") == ["x.txt"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "x.txt", "old")
    with pytest.raises(KeyboardInterrupt), written_atomically(tmp_path / "x.txt") as part:
        part.write_text("half of the n")
        raise KeyboardInterrupt
    assert listed(tmp_path) == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"


def test_files_written_together_appear_all_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    with (
        pytest.raises(WriteError, match=r"cannot write .*a: nothing was written into it"),
        written_together(*paths) as (first, _),
    ):
        first.write_text("the second is never written")
    assert listed(tmp_path) == []


@pytest.mark.parametrize("target", [".", "/", "", ".."])
def test_a_folder_is_never_replaced_by_a_file(target: str) -> None:
    with pytest.raises(WriteError, match="is a folder"), written_atomically(target):
        pass


def test_threads_that_write_one_path_at_the_same_moment_have_files_of_their_own(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=20)
    names: list[str] = []

    def write(text: str) -> None:
        with written_atomically(tmp_path / "x.txt") as part:
            names.append(part.name)
            together.wait()
            part.write_text(text)
            together.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ["short", "long" * 1000]))
    assert len(set(names)) == 2
    assert listed(tmp_path) == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() in ("short", "long" * 1000)


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    require_writable(tmp_path / "old")
    require_writable(tmp_path / "new")
    assert listed(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot write"):
        require_writable(tmp_path / "file" / "x")
    with pytest.raises(WriteError, match="is a folder"):
        require_writable(tmp_path)


def test_a_result_never_overwrites_an_input_or_its_manifest(exported: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked.onnx"
    linked.symlink_to(exported)
    for output in (exported, manifest_path(exported), linked):
        with pytest.raises(WriteError, match="would overwrite"):
            require_separate(output, exported, None)
    require_separate(tmp_path / "table.json", exported, None)
