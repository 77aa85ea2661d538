"""Pictures and videos that are none, are cut, or are stored in another way than 8-bit colour."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    assert message.startswith(f"cannot write {tmp_path / 'out' / 'picture_overlay.png'}: Permission denied")
    assert files_in(tmp_path / "out") == []


def test_an_empty_folder_is_refused(run_refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run_refused(tmp_path / "empty").startswith(f"no image or video in {tmp_path / 'empty'}; expected files")


def test_a_missing_path_is_refused(run_refused: Refused, tmp_path: Path) -> None:
    assert run_refused(tmp_path / "none.png") == f"no such file or folder: {tmp_path / 'none.png'}"


def test_a_missing_path_among_others_costs_none_of_them(
    run_refused: Refused, picture: Path, tmp_path: Path, files_in: Listing
) -> None:
    message = run_refused(tmp_path / "none.png", picture)
    missing = tmp_path / "none.png"
    assert message == f"1 of 2 inputs could not be labelled: no such file or folder: {missing}"
    assert files_in(tmp_path / "out") == ["picture_labels.png", "picture_overlay.png", "summary.json"]


def test_two_pictures_of_one_stem_are_both_labelled(
    cli: Callable[..., Any], exported: Path, picture: Path, tmp_path: Path, files_in: Listing
) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(picture, tmp_path / "other" / "picture.jpg")
    assert cli("run", exported, picture, tmp_path / "other", "-o", tmp_path / "out").code == 0
    names = [f"picture.{suffix}_{kind}.png" for suffix in ("jpg", "png") for kind in ("labels", "overlay")]
    assert files_in(tmp_path / "out") == [*names, "summary.json"]
    told = json.loads((tmp_path / "out" / "summary.json").read_text())["inputs"]
    assert [entry["labels"] for entry in told] == ["picture.png_labels.png", "picture.jpg_labels.png"]


def test_every_bad_entry_of_a_folder_is_listed_and_told_and_costs_none_of_the_others(
    ended: Callable[..., Any], exported: Path, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(picture, folder / "good.png")
    (folder / "cut.png").write_bytes(half(picture))
    (folder / "empty.jpg").touch()
    (folder / "folder.png").mkdir()
    (folder / "huge.bmp").write_bytes(
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 40000, 40000, 1, 24, *[0] * 6)
    )
    (folder / "link.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "text.mp4").write_text("no video")
    shutil.copy(picture, folder / ("n" * 250 + ".png"))
    bad = sorted(path.name for path in folder.iterdir() if path.name != "good.png")
    outcome = ended("run", exported, folder, "-o", tmp_path / "out")
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert "9 of 10 inputs could not be labelled: " in outcome.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [Path(entry["input"]).name for entry in summary["inputs"]] == ["good.png"]
    assert [Path(failure["input"]).name for failure in summary["failures"]] == bad
    assert all(f"not labelled: {failure['error']}" in outcome.out for failure in summary["failures"])


def test_hidden_files_are_no_inputs(
    cli: Callable[..., Any], exported: Path, picture: Path, tmp_path: Path, files_in: Listing
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(picture, tmp_path / "in" / "a.png")
    for name in ("._a.png", ".DS_Store", "Thumbs.db", ".b.mp4"):
        (tmp_path / "in" / name).write_bytes(b"\0\5\x16\7")
    assert cli("run", exported, tmp_path / "in", "-o", tmp_path / "out").code == 0
    assert files_in(tmp_path / "out") == ["a_labels.png", "a_overlay.png", "summary.json"]


def test_a_picture_that_uses_12_of_its_16_bits_is_warned_of_once(
    cli: Callable[..., Any], exported: Path, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), COLOUR.astype(np.uint16) * 16 + 15)
    outcome = cli("run", exported, tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out")
    assert outcome.code == 0
    assert outcome.err.count("warning: ") == 1
    assert f"{tmp_path / 'a.png'} stores 16 bits but uses at most 12 of them" in outcome.err


def test_more_pixels_are_read_where_the_limit_is_raised(
    cli: Callable[..., Any], refused: Refused, exported: Path, picture: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("RTSEG_MAX_PIXELS", str(48 * 64 - 1))
    message = refused("run", exported, picture, "-o", tmp_path / "out")
    assert "picture.png has too many pixels; got 48x64 = 3072; expected at most 3071. Try: " in message
    assert "RTSEG_MAX_PIXELS=3072" in message
    monkeypatch.setenv("RTSEG_MAX_PIXELS", "3072")
    assert cli("run", exported, picture, "-o", tmp_path / "out").code == 0
    monkeypatch.setenv("RTSEG_MAX_PIXELS", "many")
    message = refused("run", exported, picture, "-o", tmp_path / "out")
    assert message == "RTSEG_MAX_PIXELS is not a number of pixels; got 'many'; expected 1 to 1073741824"


@pytest.mark.slow
def test_an_input_that_takes_all_memory_costs_none_of_the_others(
    ended: Callable[..., Any], exported: Path, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(picture, folder / "z.png")
    cv2.imwrite(str(folder / "large.png"), np.zeros((11000, 11000), np.uint8))
    limited = ("prlimit", f"--as={1500 << 20}")
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit, which bounds the memory of a process, is missing")
    outcome = ended("run", exported, folder, "--threads", 1, "-o", tmp_path / "out", before=limited)
    assert "1 of 2 inputs could not be labelled: " in outcome.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [Path(entry["input"]).name for entry in summary["inputs"]] == ["z.png"]
    assert "there is not enough memory to" in summary["failures"][0]["error"]
