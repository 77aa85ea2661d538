from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtseg.images.video_containers import missing_part

CODECS = {"avi": "MJPG", "mp4": "mp4v", "mkv": "mp4v"}


@pytest.fixture(params=CODECS)
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"x.{request.param}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*CODECS[request.param]), 10.0, (64, 48))
    assert writer.isOpened()
    for _ in range(5):
        writer.write(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    return path


def test_a_whole_file_lacks_nothing(video: Path) -> None:
    assert missing_part(video) is None


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_ends_early_says_how_much_is_there(video: Path, share: float) -> None:
    content = video.read_bytes()
    kept = int(len(content) * share)
    video.write_bytes(content[:kept])
    told = missing_part(video)
    assert told is not None and told.startswith(f"{kept} bytes of ")


def test_what_is_behind_the_end_is_left_alone(video: Path) -> None:
    whole = missing_part(video)
    with open(video, "ab") as stream:
        stream.write(bytes(100))
    assert missing_part(video) is whole is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0\x08ftyp",
        b"\0\0\0\x10ftypisom\0\0\0\0" + struct.pack(">I4s", 0, b"mdat") + bytes(50),
        b"RIFF\0\0\0\0AVI " + bytes(50),
        b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(50),
        b"\x1aE\xdf\xa3\x00" + bytes(50),
        b"words that are no video at all",
    ],
    ids=["empty", "header alone", "to the end", "never finished", "unknown length", "no number", "words"],
)
def test_a_file_that_says_no_length_lacks_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert missing_part(tmp_path / "x") is None
