from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import ImageError, WriteError
from rtseg.images.video import LARGEST_RATE_TERM, VideoReader, holdable_rate, video_written_to

FRAMES = [np.full((48, 64, 3), shade, np.uint8) for shade in (0, 60, 120, 180)]


def written(path: Path, rate: float, frames: list[np.ndarray] = FRAMES) -> Path:
    with video_written_to(path, rate) as writer:
        for frame in frames:
            writer.add(frame)
    return path


@pytest.mark.parametrize(
    "rate", [0.001, 0.5, 1, 14.985, 23.976, 24000 / 1001, 29.97, 59.94, 66.66667, 120000 / 1001, 240, 1000, 90000, 1e9]
)
def test_a_video_of_any_rate_is_whole_and_its_rate_is_the_nearest_that_fits(tmp_path: Path, rate: float) -> None:
    path = written(tmp_path / "x.mp4", rate)
    reader = VideoReader(path)
    assert len(list(reader)) == len(FRAMES) == reader.expected_frames
    assert path.stat().st_size > 0 and reader.missing is None
    assert reader.fps == pytest.approx(min(max(rate, 0.01), 65535), rel=1e-3)


@pytest.mark.parametrize("rate", [0, -1, -0.0, math.nan, math.inf, -math.inf])
def test_what_is_no_rate_is_25_frames_a_second(tmp_path: Path, rate: float) -> None:
    assert VideoReader(written(tmp_path / "x.mp4", rate)).fps == 25


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.floats(allow_nan=True))
def test_every_rate_becomes_a_fraction_of_two_small_numbers(rate: float) -> None:
    held = holdable_rate(rate)
    denominator = next(10**digits for digits in range(4) if round(held * 10**digits) / 10**digits == held)
    assert 1 <= round(held * denominator) <= LARGEST_RATE_TERM


@pytest.mark.parametrize("size", [(1, 8), (8192, 16), (16, 8192)])
def test_frames_that_an_mp4_cannot_hold_are_refused_and_leave_no_file(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=f"do not fit into an MP4; got {size[0]}x{size[1]}"):
        written(tmp_path / "x.mp4", 25, [np.zeros((*size, 3), np.uint8)])
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="File name too long"):
        written(tmp_path / ("n" * 252 + ".mp4"), 25)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: os.mkfifo(path), "it is a named pipe, not a file"),
        (lambda path: path.mkdir(), "it is a folder, not a file"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to a missing file"),
        (lambda path: path.touch(), "is not a video OpenCV can read; got an empty file"),
        (
            lambda path: path.write_text("words"),
            "is not a video OpenCV can read; got no container of frames; expected .mp4",
        ),
    ],
    ids=["pipe", "folder", "broken link", "empty", "text"],
)
def test_what_is_no_video_is_refused_and_never_waited_for(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    make(tmp_path / "x.mp4")
    with pytest.raises(ImageError, match=told):
        VideoReader(tmp_path / "x.mp4")


def test_a_name_that_is_not_utf_8_is_refused_instead_of_crashing(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    path.write_bytes(written(tmp_path / "x.mp4", 25).read_bytes())
    with pytest.raises(ImageError, match="a name that is not UTF-8"):
        VideoReader(path)
    with pytest.raises(ImageError, match="one that is not UTF-8"):
        written(path, 25)


def test_frames_of_too_many_pixels_are_refused_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "x.mp4", 25)
    monkeypatch.setenv("RTSEG_MAX_PIXELS", "3000")
    with pytest.raises(ImageError, match=r"x\.mp4 has too many pixels; got 48x64 = 3072; expected at most 3000"):
        VideoReader(path)


def test_a_name_that_looks_like_a_pattern_is_that_file_alone(tmp_path: Path) -> None:
    written(tmp_path / "0.mp4", 25)
    (tmp_path / "%d.mp4").write_text("words")
    with pytest.raises(ImageError, match="is not a video"):
        VideoReader(tmp_path / "%d.mp4")
