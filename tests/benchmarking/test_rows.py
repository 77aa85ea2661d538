"""Rows: boundaries of real artifacts on ONNX Runtime, timed for a moment and never judged by the time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtseg.accuracy.validation import measured_accuracy
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import read_manifest
from rtseg.benchmarking.boundaries import BOUNDARIES, boundaries_of, boundary_step
from rtseg.benchmarking.rows import Contestant, benchmark_rows
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.benchmarking.session import BenchmarkSession
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.datasets.streets.dataset import render_scene
from rtseg.errors import (
    CudaError,
    EngineError,
    ImageError,
    MissingDependencyError,
    ParityError,
    RtsegError,
    RunnerError,
)
from rtseg.runners.loading import load
from rtseg.specs import INTERFACES
from tests.observers import Recorder

AT_ONCE = SamplingRule(min_seconds=0, max_seconds=0.01, min_samples=5, warmup_seconds=0)


@pytest.fixture(scope="module")
def artifacts(affnet_interfaces: dict[str, Path]) -> dict[str, Path]:
    return affnet_interfaces


def subject(path: Path, runner: str | None = None) -> Subject:
    return Subject.of(Artifact.open(path), runner)


def measured(*subjects: Subject, **settings: Any) -> list[dict[str, Any]]:
    return BenchmarkSession(AT_ONCE, **settings).measure(subjects)


@pytest.mark.parametrize(
    ("interface", "boundaries"), [("logits", ["engine", "frame"]), ("scores", ["network"]), ("labels", ["frame"])]
)
def test_an_artifact_gives_a_row_for_each_boundary_of_its_interface(
    artifacts: dict[str, Path], interface: str, boundaries: list[str]
) -> None:
    path = artifacts[interface]
    image = render_scene(0, 0, 64, 96)[0]
    with load(path) as segmenter:
        rows = benchmark_rows([Contestant(subject(path), segmenter, image)], AT_ONCE)
    assert [row.boundary for row in rows] == boundaries
    assert set(boundaries) <= set(BOUNDARIES)


def test_a_row_has_at_least_five_samples_however_small_the_budget(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(SamplingRule.within(1e-6))
    assert session.measure([subject(artifacts["scores"])])[0]["summary"]["count"] >= 5


def test_a_row_on_the_cpu_says_so_and_random_weights_are_called_random(artifacts: dict[str, Path]) -> None:
    (row,) = measured(subject(artifacts["scores"]))
    assert row["device"].startswith("CPU")
    assert row["weights"].startswith("random")


def test_a_row_carries_the_digest_of_the_file_that_was_timed(artifacts: dict[str, Path]) -> None:
    (row,) = measured(subject(artifacts["labels"]))
    assert row["artifact_sha256"] == read_manifest(artifacts["labels"], kind="onnx").sha256


class Three:
    """Three labelled pictures."""

    full = open_dataset("streets:64x96", "val")
    classes = full.classes

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> object:
        return self.full[index]


def test_the_miou_beside_the_latency_is_that_of_the_same_file(artifacts: dict[str, Path]) -> None:
    trained = replace(subject(artifacts["logits"]), weights="trained on streets")
    rows = measured(trained, dataset=Three())
    with load(artifacts["logits"]) as segmenter:
        assert {row["miou"] for row in rows} == {measured_accuracy(segmenter, Three()).miou}  # type: ignore[arg-type]


def test_random_weights_have_no_miou(artifacts: dict[str, Path]) -> None:
    assert {row["miou"] for row in measured(subject(artifacts["logits"]), dataset=Three())} == {None}


def test_a_file_of_other_classes_than_the_data_is_timed_without_accuracy(artifacts: dict[str, Path]) -> None:
    class Others(Three):
        classes = class_spec("cityscapes")

    recorder, trained = Recorder(), replace(subject(artifacts["scores"]), weights="trained")
    (row,) = BenchmarkSession(AT_ONCE, dataset=Others()).measure([trained], observer=recorder)  # type: ignore[arg-type]
    assert (row["miou"], row["summary"] is None) == (None, False)
    assert "have different classes" in recorder.warnings[0]


def test_a_picture_that_cannot_be_read_costs_the_accuracy_and_not_the_times(artifacts: dict[str, Path]) -> None:
    class Damaged(Three):
        def __getitem__(self, index: int) -> object:
            raise ImageError("a.png is not a picture")

    recorder, trained = Recorder(), replace(subject(artifacts["scores"]), weights="trained")
    (row,) = BenchmarkSession(AT_ONCE, dataset=Damaged()).measure([trained], observer=recorder)  # type: ignore[arg-type]
    assert (row["miou"], row["why_no_miou"], row["summary"] is None) == (None, "a.png is not a picture", False)
    assert recorder.warnings == ["affnet 64x96 fp32 scores: no mIoU, a.png is not a picture"]


def test_measuring_counts_each_accuracy_and_each_boundary(artifacts: dict[str, Path]) -> None:
    recorder, trained = Recorder(), replace(subject(artifacts["logits"]), weights="trained")
    BenchmarkSession(AT_ONCE, dataset=Three()).measure([trained], observer=recorder)  # type: ignore[arg-type]
    assert recorder.steps == [(pytest.approx(n / 3), 2) for n in (1, 2, 3)] + [(1, 2), (1.5, 2), (2, 2)]


# What cannot be timed


def test_a_subject_without_a_file_has_rows_that_say_why(artifacts: dict[str, Path]) -> None:
    missing = replace(subject(artifacts["logits"]), artifact=None, obstacle=Obstacle("not built", "it is too large"))
    rows = measured(missing, subject(artifacts["logits"]))
    told = [(row["boundary"], row["status"], row["word"], row["reason"]) for row in rows if row["summary"] is None]
    assert told == [(name, "NOT TIMED", "not built", "it is too large") for name in ("engine", "frame")]
    assert [row["summary"] is None for row in rows] == [True, False, True, False]


def test_a_subject_that_cannot_be_loaded_costs_its_own_rows_alone(artifacts: dict[str, Path]) -> None:
    rows = measured(subject(artifacts["scores"], "onnxruntime-cuda"), subject(artifacts["scores"]))
    assert [(row["backend"], row["summary"] is None) for row in rows] == [
        ("onnxruntime-cuda", True),
        ("onnxruntime", False),
    ]
    assert "CUDAExecutionProvider" in rows[0]["reason"]


def test_a_subject_that_fails_in_its_first_call_costs_its_own_row_alone(
    artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = render_scene(0, 0, 64, 96)[0]
    with load(artifacts["scores"]) as sound, load(artifacts["scores"]) as broken:
        monkeypatch.setattr(broken.runner, "bind_resident", refuses)
        pair = [Contestant(subject(artifacts["scores"]), each, image) for each in (broken, sound)]
        rows = benchmark_rows(pair, AT_ONCE)
    assert [(row.samples is None, row.vs_first) for row in rows] == [(True, None), (False, None)]
    assert rows[0].obstacle == Obstacle("does not run", "out of memory")


def refuses(array: object) -> None:
    raise RunnerError("out of memory")


def test_a_subject_that_fails_later_costs_its_own_row_alone(
    artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []

    def step() -> None:
        calls.append(None)
        if len(calls) > 3:
            raise RunnerError("out of memory")

    image = render_scene(0, 0, 64, 96)[0]
    with load(artifacts["scores"]) as sound, load(artifacts["scores"]) as broken:
        monkeypatch.setattr(broken.runner, "bind_resident", lambda array: step)
        pair = [Contestant(subject(artifacts["scores"]), each, image) for each in (broken, sound)]
        rows = benchmark_rows(pair, AT_ONCE)
    assert [row.samples is None for row in rows] == [True, False]
    assert rows[0].obstacle == Obstacle("does not run", "out of memory")


def test_the_row_of_a_file_that_cannot_be_loaded_names_what_would_have_run_it(
    artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtseg.benchmarking.session.load", refuses_to_load)
    (row,) = measured(subject(artifacts["scores"]))
    assert (row["backend"], row["word"]) == ("onnxruntime", "does not run")


def refuses_to_load(*_: object, **__: object) -> None:
    raise RunnerError("it did not start")


@pytest.mark.parametrize(
    ("error", "making", "running"),
    [
        (CudaError("be used here", name="no NVIDIA driver: none"), "no driver", "no driver"),
        (CudaError("open the device", name="CUDA_ERROR_NO_DEVICE", code=100), "no GPU", "no GPU"),
        (CudaError("allocate", name="CUDA_ERROR_OUT_OF_MEMORY", code=2), "CUDA error", "CUDA error"),
        (MissingDependencyError("tensorrt", extra="gpu", purpose="building"), "not installed", "not installed"),
        (EngineError("it is FP32"), "not built", "does not run"),
        (RunnerError("it did not start"), "not made", "does not run"),
        (ParityError("it differs"), "not made", "does not run"),
    ],
)
def test_an_obstacle_has_a_word_for_a_cell_and_the_whole_sentence(error: RtsegError, making: str, running: str) -> None:
    assert Obstacle.of_making(error) == Obstacle(making, str(error))
    assert Obstacle.of_running(error) == Obstacle(running, str(error))


def test_the_frame_step_gives_the_labels_of_the_plain_call(artifacts: dict[str, Path]) -> None:
    image = render_scene(0, 1, 64, 96)[0]
    with load(artifacts["logits"]) as segmenter:
        step = boundary_step(segmenter, "frame", image)
        step()
        assert np.array_equal(step.labels, segmenter(image))  # type: ignore[attr-defined]


def test_rows_of_one_boundary_stand_beside_each_other_with_their_ratio_to_the_first(artifacts: dict[str, Path]) -> None:
    rows = measured(*(subject(artifacts[interface]) for interface in ("logits", "labels", "logits")))
    assert [row["boundary"] for row in rows] == ["engine"] * 2 + ["frame"] * 3
    for group in (rows[:2], rows[2:]):
        assert group[0]["vs_first"] == 1
        medians = [row["summary"]["median_ms"] for row in group]
        assert [row["vs_first"] for row in group] == [median / medians[0] for median in medians]


def test_a_row_that_is_alone_at_its_boundary_has_no_ratio(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE)
    session.measure([subject(artifacts[interface]) for interface in ("scores", "logits")])
    result = session.result()
    assert [row["vs_first"] for row in result["rows"]] == [None, None, None]
    assert result["rule"]["interleaved"] is False


def test_what_was_measured_apart_is_not_compared(artifacts: dict[str, Path]) -> None:
    session = BenchmarkSession(AT_ONCE)
    for _ in range(2):
        session.measure([subject(artifacts["scores"])])
    assert [row["vs_first"] for row in session.rows] == [None, None]


def test_the_papers_row_stands_beside_only_at_the_papers_size(artifacts: dict[str, Path]) -> None:
    small = subject(artifacts["scores"])
    missing = replace(small, artifact=None, obstacle=Obstacle("not built", "because"))
    rows = measured(small, replace(missing, resolution="512x512"), replace(missing, resolution="512x512", options={}))
    assert [[(claim["latency_ms"], claim["fps"]) for claim in row["paper"]] for row in rows] == [[], [(6.0, 166.6)], []]


def test_every_interface_has_boundaries() -> None:
    assert all(boundaries_of(interface) for interface in INTERFACES)
