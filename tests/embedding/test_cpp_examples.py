"""The examples in C and C++ build against the installed library, run as they stand, and give Python's labels."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

import rtseg
from tests.embedding.cpp_library import GOLDEN, CppLibrary, run
from tests.made_once import made_once

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "cpp"
MODEL, OTHER = GOLDEN / "fp32-logits.onnx", GOLDEN / "int8-logits.onnx"


@pytest.fixture(scope="module")
def examples(cpp_library: CppLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built examples."""

    def build(folder: Path) -> None:
        configure = ["cmake", "-S", EXAMPLES, "-B", folder, f"-DCMAKE_PREFIX_PATH={cpp_library.prefix}"]
        flags = "-Wall -Wextra -Wpedantic -Werror"
        options = (f"-DCMAKE_CXX_FLAGS={flags}", f"-DCMAKE_C_FLAGS={flags}")
        subprocess.run([*configure, *options], check=True, capture_output=True)
        subprocess.run(["cmake", "--build", folder, "-j2"], check=True, capture_output=True)

    return made_once(tmp_path_factory, "cpp-examples", build)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures in a folder, numbered, of one size."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = [folder / f"{number:04d}.png" for number in range(3)]
    for path in paths:
        cv2.imwrite(str(path), cv2.resize(random.integers(0, 256, (4, 5, 3), np.uint8), (60, 40)))
    return paths


def labels_in_python(path: Path, model: Path = MODEL) -> np.ndarray:
    with rtseg.load(model, runner="openvino", threads=1) as segmenter:
        return segmenter(cv2.imread(str(path))[..., ::-1])


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.c*")), ids=lambda path: path.name)
def test_an_example_is_no_longer_than_a_page(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


def test_ten_lines_of_cpp_label_a_picture(examples: Path, pictures: list[Path], tmp_path: Path) -> None:
    succeeded(run([examples / "ten_lines", MODEL, pictures[0], tmp_path / "labels.png"]))
    written = cv2.imread(str(tmp_path / "labels.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, labels_in_python(pictures[0]))


def test_ten_lines_of_c_label_the_frames_of_a_pipe(examples: Path) -> None:
    random = np.random.default_rng(0)
    frames = [cv2.resize(random.integers(0, 256, (4, 5, 3), np.uint8), (640, 480)) for _ in range(2)]
    done = subprocess.run([examples / "ten_lines_c", MODEL], input=b"".join(map(bytes, frames)), capture_output=True)
    assert done.returncode == 0, done.stderr
    labels = np.frombuffer(done.stdout, np.uint8).reshape(2, 480, 640)
    with rtseg.load(MODEL, runner="openvino", threads=1) as segmenter:
        np.testing.assert_array_equal(labels, [segmenter(np.ascontiguousarray(frame[..., ::-1])) for frame in frames])


def test_ten_lines_of_c_say_what_is_wrong(examples: Path, tmp_path: Path) -> None:
    done = run([examples / "ten_lines_c", tmp_path / "no.onnx"])
    assert done.returncode != 0
    assert done.stderr == f"cannot read {tmp_path / 'no.onnx'}: no such file\n"


@pytest.mark.parametrize(
    ("name", "rest"), [("ten_lines", ["labels.png"]), ("camera", []), ("several_threads", []), ("two_models", [])]
)
def test_a_picture_that_is_not_there_is_told_in_one_line(
    name: str, rest: list[str], examples: Path, tmp_path: Path
) -> None:
    models = [MODEL, MODEL] if name == "two_models" else [MODEL]
    done = run([examples / name, *models, tmp_path / "no.png", *rest])
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if "no.png" in line or "empty cv::Mat" in line]) >= 1


def test_the_loop_says_of_each_frame_what_is_most_in_it(examples: Path, pictures: list[Path]) -> None:
    with rtseg.load(MODEL) as segmenter:
        names = segmenter.output.classes.names
    most = [names[np.bincount(labels_in_python(path).ravel()).argmax()] for path in pictures]
    lines = succeeded(run([examples / "camera", MODEL, pictures[0].parent / "%04d.png"])).splitlines()
    assert lines == [f"mostly {name}" for name in most]


def test_several_threads_label_each_picture_once(examples: Path, pictures: list[Path]) -> None:
    lines = succeeded(run([examples / "several_threads", MODEL, *pictures, *pictures])).splitlines()
    assert sorted(line.split(": ")[0] for line in lines) == sorted(map(str, [*pictures, *pictures]))
    assert len(set(lines)) == len(pictures)


def test_two_models_are_compared_in_one_process(examples: Path, pictures: list[Path]) -> None:
    equal = (labels_in_python(pictures[0]) == labels_in_python(pictures[0], OTHER)).mean()
    printed = succeeded(run([examples / "two_models", MODEL, OTHER, pictures[0]]))
    assert float(printed.split(" %")[0]) == pytest.approx(100 * equal, abs=0.01)
