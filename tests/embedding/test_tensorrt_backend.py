"""The backend `tensorrt`, compiled against the headers of each product and version, and run without a GPU.

With doubles of the driver and of TensorRT's library (cuda_double.cpp, tensorrt_double.cpp) a frame takes its whole
way: page-locked memory, the kernels' own source, a captured graph, the strides of the logits. What the doubles cannot
show is that NVIDIA's driver runs the machine code, and that TensorRT does what its headers promise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.embedding.tensorrt_modules import Conversation, Module, built_module, doubles_for, engine_file
from tests.embedding.tensorrt_networks import (
    BACKEND,
    MANIFEST,
    MISSING,
    NETWORKS,
    NO_MEMORY,
    PLAIN,
    UNSUPPORTED,
    describe,
    refusal,
)
from tests.outside import outside, why_not

pytestmark = pytest.mark.slow

RELEASES = ("8.5.3", "8.6.1", "10.3", "10.16", "11.1", "rtx-1.4", "rtx-1.5", "rtx-1.6")
RGB, BGR, RGBA, BGRA, GREY = range(5)
CHANNELS = {RGB: (0, 1, 2), BGR: (2, 1, 0), RGBA: (0, 1, 2), BGRA: (2, 1, 0), GREY: (0, 0, 0)}
"""Of the pixel formats of rtseg.h: where red, green and blue are."""


@pytest.fixture(scope="module", params=RELEASES)
def module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Module:
    folder = f"tensorrt_headers/{request.param}"
    if reason := why_not((folder,)):
        pytest.skip(reason)
    return built_module(outside(folder), tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def doubles(module: Module) -> Path:
    return doubles_for(module)


@pytest.fixture
def talk(module: Module, doubles: Path) -> Iterator[Conversation]:
    with module.opened(doubles) as conversation:
        yield conversation


def framed(
    talk: Conversation, folder: Path, image: NDArray[np.uint8], form: int, *, gap: int = 0, upward: bool = False
):
    """Return the labels of an image whose rows, and those of its labels, lie with a gap, or from the last one up."""
    height, width = image.shape[:2]
    rows = image.reshape(height, -1)
    stored = np.full((height, rows.shape[1] + gap), 0x55, np.uint8)
    stored[:, : rows.shape[1]] = rows[::-1] if upward else rows
    stored.tofile(folder / "image")
    pitch = stored.shape[1]
    skip = (height - 1) * pitch if upward else 0
    answer = talk.ask(
        *(
            "frame",
            folder / "image",
            height,
            width,
            -pitch if upward else pitch,
            skip,
            form,
            folder / "labels",
            width + gap,
        )
    )
    assert answer == "ok 1"
    labels = np.fromfile(folder / "labels", np.uint8).reshape(height, width + gap)
    assert (labels[:, width:] == 0xEE).all()
    return labels[:, :width]


def pixels_of(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    made = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_a_frame_has_the_labels_of_the_hosts_ends(talk, module: Module, tmp_path: Path, name: str) -> None:
    known = NETWORKS[name]
    describe(talk, module, known)
    assert talk.ask("open", engine_file(module, tmp_path / "engine", known.text)).startswith("ok GPU (A GPU on the CPU")
    for size in ((32, 64), (45, 70), (7, 5), (32, 64)):
        image = pixels_of(*size)
        expected = known.labels(image)
        assert len(np.unique(expected)) > 1
        for _ in range(2):
            np.testing.assert_array_equal(framed(talk, tmp_path, image, RGB), expected)
    assert talk.ask("close") == "ok 0 8"


def test_every_pixel_format_is_read_from_rows_with_gaps(talk, module: Module, tmp_path: Path) -> None:
    describe(talk, module, PLAIN)
    talk.ask("open", engine_file(module, tmp_path / "engine", PLAIN.text))
    for form, (red, green, blue) in CHANNELS.items():
        image = pixels_of(19, 33, {RGBA: 4, BGRA: 4, GREY: 1}.get(form, 3))
        expected = PLAIN.labels(image[..., [red, green, blue]])
        np.testing.assert_array_equal(framed(talk, tmp_path, image, form, gap=5), expected)
        np.testing.assert_array_equal(framed(talk, tmp_path, image, form, gap=2, upward=True), expected)


def test_more_sizes_than_are_kept_are_labelled_and_nothing_is_left(talk, module: Module, tmp_path: Path) -> None:
    describe(talk, module, PLAIN)
    talk.ask("open", engine_file(module, tmp_path / "engine", PLAIN.text))
    for width in (*range(20, 28), *range(20, 28)):
        image = pixels_of(9, width)
        np.testing.assert_array_equal(framed(talk, tmp_path, image, RGB), PLAIN.labels(image))
    assert talk.ask("close") == "ok 0 16"


@pytest.mark.parametrize("name", ["plain", "float16, classes together", "classes together without padding"])
def test_the_staged_run_gives_plain_logits(talk, module: Module, tmp_path: Path, name: str) -> None:
    known = NETWORKS[name]
    describe(talk, module, known)
    talk.ask("open", engine_file(module, tmp_path / "engine", known.text))
    for seed in range(2):
        tensor = np.random.default_rng(seed).uniform(-3, 3, (1, 3, 32, 64)).astype(np.float32)
        tensor.tofile(tmp_path / "input")
        assert talk.ask("stage", tmp_path / "input", tmp_path / "output") == "ok"
        expected = known.logits(tensor)
        np.testing.assert_array_equal(np.fromfile(tmp_path / "output", np.float32).reshape(expected.shape), expected)
    assert talk.ask("close") == "ok 0 2"


def test_bytes_that_are_no_engine_are_refused_in_tensorrts_words(talk, module: Module, tmp_path: Path) -> None:
    answer = refusal(talk, module, engine_file(module, tmp_path / "engine", "altered 1 2 3"))
    words = "TensorRT for RTX" if module.is_rtx else "TensorRT"
    assert answer == (
        f"error {BACKEND} {words} refuses the engine: this is not a TensorRT engine, or it is damaged; got from "
        "TensorRT: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed. Magic tag does not match)"
        ". Try: run rtseg build again"
    )
    assert talk.ask("close") == "ok 0 0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "double 11 32 64 4 f32 0 2",
            f"{UNSUPPORTED} the engine has another number of inputs and outputs; got 2 and 1",
        ),
        (
            "double 11 32 32 4 f32 0 1",
            f"{MANIFEST} the graph's input does not match its manifest; got (1, 3, 32, 32); exp",
        ),
        (
            "double 19 32 64 4 f32 0 1",
            f"{MANIFEST} the graph's output does not match its manifest; got (1, 19, 8, 16); e",
        ),
    ],
)
def test_an_engine_other_than_its_manifest_is_refused(
    talk, module: Module, tmp_path: Path, text: str, message: str
) -> None:
    answer = refusal(talk, module, engine_file(module, tmp_path / "engine", text))
    assert answer.startswith(f"error {message}")
    assert talk.ask("close") == "ok 0 0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runtime": "onnxruntime"}, "the engine was not built with TensorRT"),
        ({"release": "7.2.3"}, "the engine was built with another version of TensorRT"),
        ({"release": "unknown"}, "the manifest does not say which TensorRT"),
        ({"capability": "none"}, "the manifest does not say which GPU"),
    ],
)
def test_what_the_manifest_rules_out_is_refused_before_tensorrt(
    talk, module, tmp_path: Path, changes, message: str
) -> None:
    answer = refusal(talk, module, tmp_path / "no such file", **changes)
    assert answer.startswith(f"error {UNSUPPORTED} {message}") or "in its bytes 24 to 26" in answer
    assert talk.ask("close").startswith("ok 0")


def test_an_engine_of_another_gpu_is_refused(module: Module, doubles: Path, tmp_path: Path) -> None:
    path = engine_file(module, tmp_path / "engine", PLAIN.text)
    with module.opened(doubles) as talk:
        describe(talk, module, PLAIN, capability="7.5")
        answer = talk.ask("open", path)
    assert answer.startswith(f"error {UNSUPPORTED} ")
    assert "for" in answer and "rtseg build" in answer


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"CUDA_DOUBLE_INIT": "100"},
            f"{MISSING} CUDA cannot start; got CUDA_ERROR_NO_DEVICE (100). Try: use a machine with",
        ),
        (
            {"CUDA_DOUBLE_VERSION": "11030"},
            f"{MISSING} CUDA cannot be used here; got a driver for CUDA 11.3; expected one",
        ),
        ({"CUDA_DOUBLE_MEMORY": "9000"}, f"{NO_MEMORY} not enough GPU memory for the engine's input; got 1.0 MiB free"),
    ],
)
def test_what_the_driver_lacks_is_told(module: Module, doubles: Path, tmp_path: Path, variables, message: str) -> None:
    with module.opened(doubles, **variables) as talk:
        assert refusal(talk, module, engine_file(module, tmp_path / "engine", PLAIN.text)).startswith(
            f"error {message}"
        )


def test_where_nothing_can_be_captured_the_calls_are_made_anew(module: Module, doubles: Path, tmp_path: Path) -> None:
    with module.opened(doubles, CUDA_DOUBLE_CAPTURES_NOTHING="1") as talk:
        describe(talk, module, PLAIN)
        talk.ask("open", engine_file(module, tmp_path / "engine", PLAIN.text))
        for seed in range(3):
            image = np.roll(pixels_of(45, 70), seed, axis=1)
            np.testing.assert_array_equal(framed(talk, tmp_path, image, RGB), PLAIN.labels(image))
        assert talk.ask("close") == "ok 0 0"


def test_a_run_that_tensorrt_refuses_is_told_in_its_words(module: Module, doubles: Path, tmp_path: Path) -> None:
    pixels_of(4, 4).tofile(tmp_path / "image")
    with module.opened(doubles, TENSORRT_DOUBLE_REFUSES="1") as talk:
        describe(talk, module, PLAIN)
        assert talk.ask("open", engine_file(module, tmp_path / "engine", PLAIN.text)).startswith("ok")
        for _ in range(2):
            answer = talk.ask("frame", tmp_path / "image", 4, 4, 12, 0, RGB, tmp_path / "labels", 4)
            assert f"error {BACKEND} TensorRT" in answer and "could not run the engine; got from TensorRT: " in answer
            assert "Internal Error (Assertion isReady failed. )" in answer
        assert talk.ask("close") == "ok 0 0"


def test_without_the_library_the_missing_file_is_named(module: Module) -> None:
    with module.opened() as talk:
        answer = refusal(talk, module, Path("engine"))
    library = "libtensorrt_rtx.so" if module.is_rtx else "libnvinfer.so"
    assert answer.startswith(f"error {MISSING} TensorRT") and f"expected {library}" in answer
