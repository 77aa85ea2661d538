"""rtseg-segment writes what `rtseg run` writes: the same label maps, overlays, names and summary."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

import rtseg
from tests.embedding.cpp_library import GOLDEN, CppLibrary, onnxruntime_headers

MODELS = sorted(path.name for path in GOLDEN.glob("*.onnx"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of many sizes and kinds, two that share a name, a video, and what is no picture."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)

    def picture(height: int, width: int) -> np.ndarray:
        return cv2.resize(random.integers(0, 256, (4, 5, 3), np.uint8), (width, height))

    cv2.imwrite(str(folder / "colour.png"), picture(48, 64))
    cv2.imwrite(str(folder / "colour.jpg"), picture(37, 53))
    cv2.imwrite(str(folder / "grey.pgm"), picture(20, 200)[..., 0])
    cv2.imwrite(str(folder / "sixteen.png"), picture(61, 29).astype(np.uint16) * 200)
    cv2.imwrite(str(folder / "clear.png"), np.dstack([picture(33, 31), picture(33, 31)[..., :1]]))
    (folder / "scaled.ppm").write_bytes(b"P6 # of 7 values\n3 2\n6\n" + bytes(range(7)) + bytes([6] * 11))
    (folder / "wide.pgm").write_bytes(b"P5 2 2 1023\n" + np.array([0, 511, 512, 1023], ">u2").tobytes())
    (folder / ".hidden.png").write_bytes(b"left out")
    (folder / "broken.png").write_bytes((folder / "colour.png").read_bytes()[:99])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    for _ in range(3):
        writer.write(picture(48, 64))
    writer.release()
    return folder


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def require_same_results(python: Path, cpp: Path) -> None:
    assert written(python) == written(cpp)
    for name in sorted(written(python)):
        if name.endswith(".png"):
            # the other program's OpenCV may pack a PNG otherwise
            first, second = (cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED) for folder in (python, cpp))
            np.testing.assert_array_equal(first, second, err_msg=name)
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (python, cpp))
    for key in ("artifact", "backend", "pixels", "class_share", "inputs"):
        assert first[key] == second[key], key
    assert [entry["input"] for entry in first["failures"]] == [entry["input"] for entry in second["failures"]]


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("model", MODELS)
def test_the_program_writes_what_python_writes(
    model: str, backend: str, cpp_library: CppLibrary, pictures: Path, tmp_path: Path
) -> None:
    if backend == "onnxruntime" and onnxruntime_headers() is None:
        pytest.skip("no onnxruntime_c_api.h")
    rtseg.run(GOLDEN / model, pictures, tmp_path / "python", runner=backend, threads=1)
    done = cpp_library.run(
        *("rtseg-segment", GOLDEN / model, pictures, "-o", tmp_path / "cpp"), *("--backend", backend, "--threads", "1")
    )
    assert done.returncode == 1  # for what is no picture
    assert done.stderr.count("not labelled: ") == 4
    require_same_results(tmp_path / "python", tmp_path / "cpp")


@pytest.mark.parametrize("model", ["fp32-logits.onnx", "int8-logits.onnx"])
def test_a_model_that_openvino_stores_gives_the_same(
    model: str, cpp_library: CppLibrary, pictures: Path, tmp_path: Path
) -> None:
    made = rtseg.build(GOLDEN / model, tmp_path / "model.xml", runtime="openvino").artifact.path
    rtseg.run(made, [pictures / "colour.png", pictures / "colour.jpg"], tmp_path / "python", threads=1)
    done = cpp_library.run(
        *(
            "rtseg-segment",
            made,
            pictures / "colour.png",
            pictures / "colour.jpg",
            "-o",
            tmp_path / "cpp",
            "--threads=1",
        )
    )
    assert (done.returncode, done.stderr) == (0, "")
    require_same_results(tmp_path / "python", tmp_path / "cpp")
    weights = made.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    refused = cpp_library.run("rtseg-segment", made, pictures / "colour.png", "-o", tmp_path / "refused")
    assert "does not match the manifest of" in refused.stderr


def test_an_overlay_of_a_video_has_its_frames(cpp_library: CppLibrary, pictures: Path, tmp_path: Path) -> None:
    done = cpp_library.run("rtseg-segment", GOLDEN / MODELS[0], pictures / "clip.avi", "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["inputs"][0]["frames"] == 3
    capture = cv2.VideoCapture(str(tmp_path / "clip_overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and capture.get(cv2.CAP_PROP_FPS) == 12.5
    capture.release()


def test_a_shorter_video_leaves_no_frame_of_a_longer_one(
    cpp_library: CppLibrary, pictures: Path, tmp_path: Path
) -> None:
    frames = tmp_path / "clip_labels"
    frames.mkdir()
    (frames / "000009.png").write_bytes(b"of a longer one")
    assert cpp_library.run("rtseg-segment", GOLDEN / MODELS[0], pictures / "clip.avi", "-o", tmp_path).returncode == 0
    assert sorted(path.name for path in frames.iterdir()) == ["000000.png", "000001.png", "000002.png"]
    (frames / "notes.txt").write_text("somebody's")
    refused = cpp_library.run("rtseg-segment", GOLDEN / MODELS[0], pictures / "clip.avi", "-o", tmp_path)
    assert "it holds notes.txt, which is not a frame" in refused.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_results_never_take_an_inputs_place(cpp_library: CppLibrary, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), np.zeros((16, 16, 3), np.uint8))
    (tmp_path / "a_labels.png").write_bytes(source.read_bytes())
    done = cpp_library.run("rtseg-segment", GOLDEN / MODELS[0], source, tmp_path / "a_labels.png", "-o", tmp_path)
    assert done.returncode == 1 and "would overwrite the input" in done.stderr
    assert (tmp_path / "a_labels.png").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "a model and inputs are needed"),
        (["m.onnx", "a.png"], "-o is missing: the folder to write"),
        (["m.onnx", "a.png", "-o"], "-o needs a value: FOLDER"),
        (["m.onnx", "a.png", "-o", "x", "--threads", "-1"], "not a number of threads; got '-1'; expected 0 to 256"),
        (["m.onnx", "a.png", "-o", "x", "--threads", "257"], "not a number of threads; got '257'; expected 0 to 256"),
        (["m.onnx", "a.png", "-o", "x", "--thread", "1"], "no such option: --thread"),
        (["m.onnx", "a.png", "-o", "x", "--json=1"], "--json takes no value"),
    ],
)
def test_arguments_that_cannot_be_are_told_in_one_line(
    arguments: list[str], words: str, cpp_library: CppLibrary
) -> None:
    done = cpp_library.run("rtseg-segment", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("rtseg-segment: error: ") and words in done.stderr and done.stderr.count("\n") == 1


def test_help_says_what_there_is_within_80_columns(cpp_library: CppLibrary) -> None:
    done = cpp_library.run("rtseg-segment", "--help")
    assert done.returncode == 0 and "--backend NAME" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
