"""Pictures and videos that are none, are cut, or are stored in another way than 8-bit colour."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rtseg.images.files import read_image

Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]

COLOUR = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


def without_override() -> tuple[str, ...]:
    """Return what has to stand before a command so that permissions hold for it."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and setpriv, which could take that away, is missing")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all")


@pytest.fixture
def run_refused(refused: Refused, exported: Path, tmp_path: Path) -> Refused:
    """Label inputs, which has to fail."""
    return lambda *inputs: refused("run", exported, *inputs, "-o", tmp_path / "out")


def half(path: Path) -> bytes:
    """Return the first half of a file."""
    content = path.read_bytes()
    return content[: len(content) // 2]


@pytest.mark.parametrize("content", [b"", b"hello"], ids=["empty", "text"])
def test_what_is_no_picture_is_refused(run_refused: Refused, tmp_path: Path, files_in: Listing, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    message = run_refused(tmp_path / "x.png")
    assert message.startswith("1 of 1 inputs could not be labelled: ")
    assert f"{tmp_path / 'x.png'} is not a picture OpenCV can read" in message
    assert files_in(tmp_path / "out") == ["summary.json"]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_picture_is_refused_and_not_filled_up(
    refused_process: Refused, exported: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"x.{suffix}"
    cv2.imwrite(str(path), COLOUR)
    path.write_bytes(half(path))
    message = refused_process("run", exported, path, "-o", tmp_path / "out")
    assert f"{path} is not a picture OpenCV can read" in message


@pytest.mark.parametrize("content", [b"", b"hello"], ids=["empty", "text"])
def test_what_is_no_video_is_refused(run_refused: Refused, tmp_path: Path, files_in: Listing, content: bytes) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    assert f"{tmp_path / 'x.mp4'} is not a video OpenCV can read" in run_refused(tmp_path / "x.mp4")
    assert files_in(tmp_path / "out") == ["summary.json"]


def test_one_bad_picture_does_not_stop_the_others(
    run_refused: Refused, picture: Path, tmp_path: Path, files_in: Listing
) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    assert run_refused(tmp_path / "bad.png", picture).startswith("1 of 2 inputs could not be labelled: ")
    assert files_in(tmp_path / "out") == ["picture_labels.png", "picture_overlay.png", "summary.json"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [failure["input"] for failure in summary["failures"]] == [str(tmp_path / "bad.png")]


def grey_16_bit(path: Path) -> None:
    cv2.imwrite(str(path), COLOUR[..., 0].astype(np.uint16) * 257)


def colour_16_bit(path: Path) -> None:
    cv2.imwrite(str(path), COLOUR.astype(np.uint16) * 257)


def grey(path: Path) -> None:
    cv2.imwrite(str(path), COLOUR[..., 0])


def with_alpha(path: Path) -> None:
    cv2.imwrite(str(path), np.dstack([COLOUR, COLOUR[..., :1]]))


def palette(path: Path) -> None:
    Image.fromarray(COLOUR).quantize(16).save(path)


@pytest.mark.parametrize("written", [grey_16_bit, colour_16_bit, grey, with_alpha, palette])
def test_every_way_of_storing_a_png_is_read_as_8_bit_colour(
    cli: Callable[..., object], exported: Path, tmp_path: Path, written: Callable[[Path], None]
) -> None:
    written(tmp_path / "x.png")
    assert (read_image(tmp_path / "x.png").dtype, read_image(tmp_path / "x.png").shape) == (np.uint8, (48, 64, 3))
    assert cli("run", exported, tmp_path / "x.png", "-o", tmp_path / "out").code == 0  # type: ignore[attr-defined]


def test_grey_has_three_equal_channels_and_16_bit_are_scaled_to_8(tmp_path: Path) -> None:
    grey_16_bit(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png"), np.repeat(COLOUR[..., :1], 3, axis=2))


def test_alpha_is_dropped_and_not_blended(tmp_path: Path) -> None:
    with_alpha(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png"), COLOUR[..., ::-1])


def test_an_unreadable_picture_is_refused(
    refused_process: Refused, exported: Path, picture: Path, tmp_path: Path
) -> None:
    before = without_override()
    picture.chmod(0)
    message = refused_process("run", exported, picture, "-o", tmp_path / "out", before=before)
    assert message.endswith(f"cannot read {picture}: Permission denied")


def test_a_folder_that_may_not_be_entered_is_refused(refused_process: Refused, exported: Path, tmp_path: Path) -> None:
    before = without_override()
    (tmp_path / "closed").mkdir(mode=0)
    for path in (tmp_path / "closed", tmp_path / "closed" / "x.png"):
        message = refused_process("run", exported, path, "-o", tmp_path / "out", before=before)
        assert message == f"cannot read {path}: Permission denied"


def test_a_folder_that_may_not_be_written_is_refused(
    refused_process: Refused, exported: Path, picture: Path, tmp_path: Path, files_in: Listing
) -> None:
    before = without_override()
    (tmp_path / "out").mkdir(mode=0o500)
    message = refused_process("run", exported, picture, "-o", tmp_path / "out", before=before)
    assert message.startswith(f"cannot write {tmp_path / 'out' / 'picture_labels.png'}: Permission denied")
    assert files_in(tmp_path / "out") == []


def test_an_empty_folder_is_refused(run_refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run_refused(tmp_path / "empty").startswith(f"no image or video in {tmp_path / 'empty'}; expected files")


def test_a_missing_path_is_refused(run_refused: Refused, tmp_path: Path) -> None:
    assert run_refused(tmp_path / "none.png") == f"no such file or folder: {tmp_path / 'none.png'}"


def test_two_inputs_of_one_name_are_refused_before_anything_is_written(
    run_refused: Refused, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(picture, tmp_path / "other" / "picture.jpg")
    message = run_refused(picture, tmp_path / "other")
    assert message == "several inputs have the same name; got picture. Try: one run for each folder"
    assert not (tmp_path / "out").exists()
