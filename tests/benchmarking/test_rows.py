"""Rows: boundaries of real artifacts on ONNX Runtime, timed for a moment and never judged by the time."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.benchmarking.boundaries import BOUNDARIES, boundaries_of, boundary_step
from rtseg.benchmarking.rows import TimedArtifact, benchmark_rows
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.benchmarking.session import BenchmarkSession
from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.datasets.streets.dataset import render_scene
from rtseg.errors import ManifestError
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.prepared import network_with_random_weights
from rtseg.runners.loading import load
from rtseg.specs import INTERFACES, Resolution

AT_ONCE = SamplingRule(min_seconds=0, max_seconds=0.01, min_samples=5, warmup_seconds=0)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    network = network_with_random_weights("affnet", class_spec("streets"))
    paths = {interface: folder / f"{interface}.onnx" for interface in INTERFACES}
    for interface, path in paths.items():
        export_onnx(network, Resolution(64, 96), path, interface=interface)
    return paths


@pytest.mark.parametrize(
    ("interface", "boundaries"), [("logits", ["engine", "frame"]), ("scores", ["network"]), ("labels", ["frame"])]
)
def test_an_artifact_gives_a_row_for_each_boundary_of_its_interface(
    artifacts: dict[str, Path], interface: str, boundaries: list[str]
) -> None:
    path = artifacts[interface]
    image = render_scene(0, 0, 64, 96)[0]
    with load(path) as segmenter:
        rows = benchmark_rows([TimedArtifact(segmenter, read_manifest(path, kind="onnx"), image)], AT_ONCE)
    assert [row.boundary for row in rows] == boundaries
    assert set(boundaries) <= set(BOUNDARIES)


def test_a_row_has_at_least_five_samples_however_small_the_budget(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(SamplingRule.within(1e-6))
    session.add_artifact(artifacts["scores"])
    assert session.result()["rows"][0]["summary"]["count"] >= 5


def test_a_row_on_the_cpu_says_so_and_random_weights_are_called_random(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE)
    session.add_artifact(artifacts["scores"])
    row = session.result()["rows"][0]
    assert row["device"].startswith("CPU")
    assert row["weights"].startswith("random")


def test_a_row_carries_the_digest_of_the_file_that_was_timed(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE)
    session.add_artifact(artifacts["labels"])
    assert session.result()["rows"][0]["artifact_sha256"] == read_manifest(artifacts["labels"], kind="onnx").sha256


def test_the_miou_beside_the_latency_is_that_of_the_same_file(artifacts: dict[str, Path]) -> None:
    class Three:
        full = open_dataset("streets:64x96", "val")
        classes = full.classes

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> object:
            return self.full[index]

    session = BenchmarkSession(AT_ONCE, dataset=Three())  # type: ignore[arg-type]
    session.add_artifact(artifacts["logits"])
    mious = {row["miou"] for row in session.result()["rows"]}
    assert len(mious) == 1
    assert 0 <= mious.pop() <= 1


def test_the_frame_step_gives_the_labels_of_the_plain_call(artifacts: dict[str, Path]) -> None:
    image = render_scene(0, 1, 64, 96)[0]
    with load(artifacts["logits"]) as segmenter:
        step = boundary_step(segmenter, "frame", image)
        step()
        assert np.array_equal(step.labels, segmenter(image))  # type: ignore[attr-defined]


def test_an_export_for_a_benchmark_is_made_once_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    network = network_with_random_weights("affnet", class_spec("streets"))
    files = []
    for _ in range(2):
        session = BenchmarkSession(AT_ONCE)
        session.add_network(network, Resolution(64, 96))
        assert [row["boundary"] for row in session.result()["rows"]] == ["network", "engine", "frame"]
        files.append({path: path.stat().st_ino for path in tmp_path.rglob("*.onnx")})
    assert files[0] == files[1]
    assert len(files[0]) == 2


def test_a_damaged_export_in_the_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    network = network_with_random_weights("affnet", class_spec("streets"))
    BenchmarkSession(AT_ONCE).add_network(network, Resolution(64, 96))
    damaged = sorted(tmp_path.rglob("*.onnx"))[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    BenchmarkSession(AT_ONCE).add_network(network, Resolution(64, 96))
    assert read_manifest(damaged, kind="onnx").kind == "onnx"


def test_the_papers_row_stands_beside_only_at_the_papers_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    network = network_with_random_weights("affnet", class_spec("cityscapes"))
    session = BenchmarkSession(AT_ONCE)
    session.add_network(network, Resolution(64, 96), interfaces=["scores"])
    session.add_network(network, Resolution(512, 512), interfaces=["scores"])
    claims = {row["resolution"]: row["paper"] for row in session.result()["rows"]}
    assert claims["64x96"] == []
    assert [(claim["latency_ms"], claim["fps"]) for claim in claims["512x512"]] == [(6.0, 166.6)]


def test_rows_of_one_boundary_stand_beside_each_other_with_their_ratio_to_the_first(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE)
    for interface in ("logits", "labels", "logits"):
        session.add_artifact(artifacts[interface])
    rows = session.measure()
    assert [row.boundary for row in rows] == ["engine"] * 2 + ["frame"] * 3
    for group in (rows[:2], rows[2:]):
        assert group[0].vs_first == 1
        medians = [row.samples.summary.median_ms for row in group]
        assert [row.vs_first for row in group] == [median / medians[0] for median in medians]


def test_a_row_that_is_alone_at_its_boundary_has_no_ratio(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE)
    for interface in ("scores", "logits"):
        session.add_artifact(artifacts[interface])
    result = session.result()
    assert [row["vs_first"] for row in result["rows"]] == [None, None, None]
    assert result["rule"]["interleaved"] is False


def test_what_was_measured_apart_is_not_compared(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE)
    for _ in range(2):
        session.add_artifact(artifacts["scores"])
        session.measure()
    assert [row["vs_first"] for row in session.result()["rows"]] == [None, None]


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_every_artifact_is_timed_behind_each_runner(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE, runners=["onnxruntime", "openvino"])
    session.add_artifact(artifacts["scores"])
    session.add_artifact(artifacts["labels"])
    result = session.result()
    assert [(row["boundary"], row["backend"]) for row in result["rows"]] == [
        ("network", "onnxruntime"),
        ("network", "openvino"),
        ("frame", "onnxruntime"),
        ("frame", "openvino"),
    ]
    assert result["rule"]["interleaved"] is True


def test_a_damaged_file_is_refused_before_anything_is_timed(artifacts: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    shutil.copy(artifacts["logits"], copy)
    shutil.copy(manifest_path(artifacts["logits"]), manifest_path(copy))
    copy.write_bytes(copy.read_bytes()[:-1])
    session = BenchmarkSession(AT_ONCE)
    with pytest.raises(ManifestError, match="is not the file its manifest tells of"):
        session.add_artifact(copy)
    assert session.measure() == []


def test_every_interface_has_boundaries() -> None:
    assert all(boundaries_of(interface) for interface in INTERFACES)
