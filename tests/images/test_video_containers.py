from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtseg.errors import ImageError
from rtseg.images.video import VideoReader
from rtseg.images.video_containers import is_container, missing_part

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


def test_a_video_is_a_container(video: Path) -> None:
    assert is_container(video)


TRANSPORT = (b"\x47\x40\0\x10" + bytes(184)) * 12


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\0\x14ftypisom",
        b"\x30\0\0\0mdat",
        b"\0\0\0\x08wide\x30\0\0\0mdat",
        b"\0\0\1\xba\x44",
        b"\0\0\0\1\x67\x42",
        TRANSPORT,
        b"".join(bytes(4) + TRANSPORT[:188] for _ in range(12)),
        b"OggS\0\2",
        b"FLV\1\5",
    ],
    ids=["MP4", "QuickTime", "wide QuickTime", "program stream", "H.264", "transport stream", "M2TS", "Ogg", "FLV"],
)
def test_a_file_that_begins_as_a_container_is_one(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert is_container(tmp_path / "x")


SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
SCRIPTS = {
    "ffconcat": b"ffconcat version 1.0\nfile other.mp4\n",
    "HLS": b"#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
    "SDP": SDP,
    "SDP that begins as an MP4": b"v=0\nftypjp2 \n" + SDP,
    "SDP that begins as Matroska": b"\x1aE\xdf\xa3matroska\n" + SDP,
    "SDP behind the bytes of a transport stream": (b"G" + b" " * 187) * 11 + b"G\n" + SDP + b" " * 188,
    "DASH": b'<?xml version="1.0"?><MPD profiles="urn:mpeg:dash:profile:isoff-main:2011"></MPD>',
    "words": b"words that are no video at all",
    "WAV": b"RIFF\x10\0\0\0WAVEfmt ",
    "nothing": b"",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_names_other_files_or_holds_no_frames_is_no_container(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(SCRIPTS[name])
    assert not is_container(tmp_path / "x.mp4")


@pytest.mark.parametrize("name", ["ffconcat", "HLS"])
def test_a_video_file_that_names_another_is_not_followed(name: str, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "other.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (tmp_path / "x.mp4").write_bytes(SCRIPTS[name])
    with pytest.raises(ImageError, match="no container of frames"):
        VideoReader(tmp_path / "x.mp4")
