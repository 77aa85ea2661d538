from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest

import rtseg
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import KINDS, Manifest
from rtseg.errors import RunnerError, UnknownNameError
from rtseg.runners.registry import DEFAULT_RUNNERS, RUNNABLE, file_runner, runner_names
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec
from tests.observers import Recorder

OUTPUT = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)
GPU = {"onnxruntime-cuda": "CUDA", "onnxruntime-tensorrt": "Tensorrt"}


def missing(kind: str, name: str = "missing") -> Artifact:
    """Return an artifact of that kind whose file is not there."""
    return Artifact(Path(name), Manifest(kind, "affnet", {}, "", "fp32", ImageSpec(64, 96), OUTPUT))


@pytest.mark.parametrize("name", runner_names("onnx"))
def test_a_name_gives_a_runner_of_that_backend_without_touching_the_file(name: str) -> None:
    runner = file_runner(name, missing("onnx"), threads=3)
    assert runner.backend == name
    assert runner.device == f"GPU ({GPU[name]})" if name in GPU else "3 threads" in runner.device


@pytest.mark.parametrize("name", GPU)
def test_a_runner_on_the_gpu_never_falls_back_to_the_cpu(name: str, exported: Path) -> None:
    if GPU[name].upper() in {provider[: len(GPU[name])].upper() for provider in ort.get_available_providers()}:
        message = r"did not start; got .*; expected its libraries and a GPU"  # onnxruntime-gpu where there is none
    else:
        message = r"lacks a provider; got .*CPUExecutionProvider.* Try: .*rtseg\[gpu\]"
    try:
        with file_runner(name, Artifact.open(exported)) as runner:
            assert "GPU" in runner.device
    except RunnerError as error:
        assert re.search(message, str(error))


def test_each_kind_of_file_that_is_run_has_a_default_among_its_own_runners() -> None:
    assert set(RUNNABLE) <= set(KINDS)
    for kind, name in DEFAULT_RUNNERS.items():
        assert name in runner_names(kind)
        assert file_runner(None, missing(kind)).backend == name


def test_a_runner_of_another_kind_of_file_is_refused_with_one_that_fits() -> None:
    with pytest.raises(
        RunnerError,
        match=r"openvino does not run f\.engine; got a file of kind engine.*--runner tensorrt or .* or tensorrt-rtx",
    ):
        file_runner("openvino", missing("engine", "f.engine"))


@pytest.mark.parametrize("name", runner_names("engine"))
def test_a_name_gives_a_runner_of_engines_without_touching_the_file(name: str) -> None:
    runner = file_runner(name, missing("engine"))
    assert runner.backend == name
    assert runner.device == f"GPU ({'TensorRT for RTX' if name == 'tensorrt-rtx' else 'TensorRT'})"


def test_an_unknown_name_is_refused_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown runner; got 'openvin'.*Try: use 'openvino'"):
        file_runner("openvin", missing("onnx"))


@pytest.fixture(scope="module")
def placed(exported: Path, calibrated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Quantised files by target, and one in FP16."""
    folder = tmp_path_factory.mktemp("placed")
    files = {name: folder / f"{name}.onnx" for name in ("tensorrt", "onnxruntime", "fp16")}
    for name in ("tensorrt", "onnxruntime"):
        rtseg.quantize(exported, calibrated, files[name], to="int8", target=name)
    rtseg.quantize(exported, None, files["fp16"], to="fp16", target="tensorrt")
    return files


def test_int8_placed_for_tensorrt_says_how_it_runs_faster_with_onnxruntime(
    placed: dict[str, Path], tmp_path: Path
) -> None:
    told = Recorder()
    rtseg.bench(placed["tensorrt"], runners="onnxruntime", seconds=0.05, observer=told)
    notes = [note for note in told.notes if "placed for tensorrt" in note]
    assert len(notes) == 1 and "--target onnxruntime" in notes[0] and "--runner openvino" in notes[0]
    cv2.imwrite(str(tmp_path / "picture.png"), np.zeros((64, 64, 3), np.uint8))
    told = Recorder()
    rtseg.run(placed["tensorrt"], tmp_path / "picture.png", tmp_path / "out", observer=told)
    assert len([note for note in told.notes if "--target onnxruntime" in note]) == 1


@pytest.mark.parametrize(
    ("file", "runner"), [("onnxruntime", "onnxruntime"), ("fp16", "onnxruntime"), ("tensorrt", "openvino")]
)
def test_a_file_that_suits_its_runner_has_no_note_on_its_placement(
    placed: dict[str, Path], file: str, runner: str
) -> None:
    with file_runner(runner, Artifact.open(placed[file])) as opened:
        assert not any("placed for" in note for note in opened.notes)
