"""The tasks that need a GPU, on an emulated one: what they ask for, in which order, and what they tell.

ONNX Runtime runs the graphs behind TensorRT's API, in the graph's own types, so labels agree and times mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check import engine_task as tasks
from benchmarks.gpu_check.cases import Case, CaseFolder
from benchmarks.gpu_check.expectations import expectations
from benchmarks.gpu_check.ledger import DONE, Entry
from benchmarks.gpu_check.summary import line_of
from benchmarks.gpu_check.torch_task import torch_task
from rtseg.benchmarking.sampling import SamplingRule
from tests.contracts.tensorrt_machine import LAYERS
from tests.emulated_gpu.builder import put_builder
from tests.emulated_gpu.machine import EmulatedMachine
from tests.native.kernels_on_cpu import KernelsOnCpu

FEW = SamplingRule(min_seconds=0, max_seconds=0, min_samples=3, max_samples=3, warmup_seconds=0)
MakeBuilder = Callable[..., EmulatedMachine]


@pytest.fixture
def make_builder(monkeypatch: pytest.MonkeyPatch, kernels_on_cpu: KernelsOnCpu, tmp_path: Path) -> MakeBuilder:
    """Put a machine in place whose TensorRT builds "engines" that hold the graph it parsed."""

    def made(version: str = "8.5.3", layers: str = LAYERS["fp16"]) -> EmulatedMachine:
        machine = EmulatedMachine(monkeypatch, kernels_on_cpu, tmp_path, version=version)
        put_builder(machine, layers)
        monkeypatch.setattr(tasks, "RULE", FEW)
        return machine

    return made


@pytest.mark.parametrize(("version", "precision"), [("8.5.3", "int8"), ("10.3", "fp16"), ("11.4", "fp32")])
def test_an_engine_is_built_proven_compared_and_timed(
    make_builder: MakeBuilder, folder: CaseFolder, case: Case, version: str, precision: str, tmp_path: Path
) -> None:
    machine = make_builder(version, LAYERS[precision])
    found: dict[str, Any] = {}
    tasks.engine_task(folder, case, precision, tmp_path, found.update)
    assert found["build"]["release"] == machine.release
    assert found["build"]["typed"] == (version != "8.5.3")
    assert found["build"]["settings"]["tf32"] is False
    assert found["precision"]["verdict"]["passed"] is True
    # Nobody trained this network, and whoever runs INT8 rounds in its own way: its labels are close calls.
    assert found["agreement"]["share"] > (0.8 if precision == "int8" else 0.995)
    assert set(found["agreement"]["miou"]) == {"streets"}
    assert found["memory_bytes"] > 0
    for times in (found["engine"]["gpu"], *(found["frame"][name] for name in ("host", "gpu", "launch"))):
        assert len(times["samples_ns"]) == 3 and min(times["samples_ns"]) > 0
    frame = found["frame"]
    beyond = frame["host"]["median_ms"] - frame["gpu"]["median_ms"] - frame["launch"]["median_ms"]
    assert frame["host_overhead_us"] == pytest.approx(1000 * beyond)
    assert set(found["frames_per_second"]) == {"1", "2", "4"}
    entry = Entry(DONE, {}, 1, "", json.loads(json.dumps(found)))
    assert "frames per second" in line_of("a", entry)
    expected = expectations([case], {f"{case.network}/{case.resolution}/{precision}": entry})
    assert {one.met for one in expected if precision in one.name} == {True}


def test_an_engine_in_another_precision_is_told_and_timed_all_the_same(
    make_builder: MakeBuilder, folder: CaseFolder, case: Case, tmp_path: Path
) -> None:
    make_builder("11.4", LAYERS["fp32"])
    found: dict[str, Any] = {}
    tasks.engine_task(folder, case, "fp16", tmp_path, found.update)
    assert found["precision"]["verdict"]["passed"] is False
    assert "frames_per_second" in found


def test_an_engine_that_was_built_before_is_not_built_again(
    make_builder: MakeBuilder, folder: CaseFolder, case: Case, tmp_path: Path
) -> None:
    machine = make_builder()
    built = [tasks.built_engine(folder, case, "logits", "fp16", tmp_path) for _ in range(2)]
    assert [tasks.build_facts(one)["build"]["from_cache"] for one in built] == [False, True]
    assert len(machine.tensorrt.recorded.arguments("Builder.build_serialized_network")) == 1


def test_the_frame_takes_turns_with_the_plain_labels_engine(
    make_builder: MakeBuilder, folder: CaseFolder, case: Case, tmp_path: Path
) -> None:
    machine = make_builder()
    found: dict[str, Any] = {}
    tasks.labels_task(folder, case, tmp_path, found.update)
    assert list(found["in_turns"]) == ["frame", "labels"]
    assert found["agreement"]["share"] > 0.995
    assert "uint8 ends cast" in found["build"]["lowering"]
    assert machine.driver.counts["launch graph"] >= 2 * 3


def test_the_boundary_of_the_papers_is_timed_on_an_engine_that_gives_scores(
    make_builder: MakeBuilder, folder: CaseFolder, case: Case, tmp_path: Path
) -> None:
    make_builder()
    found: dict[str, Any] = {}
    tasks.scores_task(folder, case, tmp_path, found.update)
    assert found["network"]["gpu"]["count"] == len(found["network"]["gpu"]["samples_ns"]) > 0
    assert found["agreement"]["share"] > 0.995


@pytest.mark.usefixtures("one_core")
def test_beside_torch_the_engines_frame_takes_turns_with_torchs(
    make_builder: MakeBuilder,
    folder: CaseFolder,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_builder()
    monkeypatch.setattr("benchmarks.gpu_check.torch_task.RULE", FEW)
    found: dict[str, Any] = {}
    torch_task(folder, case, "torch", tmp_path, found.update, device="cpu", beside=True)
    assert list(found["in_turns"]) == ["eager fp32", "engine fp16"]
