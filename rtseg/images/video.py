"""Video files, frame by frame, read and written with OpenCV; frames are uint8 RGB."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.files import PathLike, written_atomically
from rtseg.errors import ImageError, WriteError

Pixels = NDArray[np.uint8]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


class VideoReader:
    """The frames of a video file. Raises ImageError when it cannot be opened or holds no frame."""

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        capture = self._opened()
        self.fps = float(capture.get(cv2.CAP_PROP_FPS)) or 25.0
        self.expected_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()

    def __iter__(self) -> Iterator[Pixels]:
        capture = self._opened()
        count = 0
        try:
            while True:
                read, frame = capture.read()
                if not read:
                    break
                count += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        finally:
            capture.release()
        if not count:
            raise ImageError(f"{self.path} holds no frame that OpenCV can decode")

    def _opened(self) -> cv2.VideoCapture:
        if not self.path.is_file():
            raise ImageError(f"no video file {self.path}")
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            capture.release()
            raise ImageError(f"{self.path} is not a video OpenCV can read", expected=", ".join(VIDEO_SUFFIXES))
        return capture


class VideoWriter:
    """An MP4 that takes frames of one size. The file appears when it is complete, by video_written_to."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: Pixels) -> None:
        """Append a uint8 RGB frame; the first one decides the size. Raises WriteError."""
        height, width = frame.shape[:2]
        if self._writer is None:
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), codec, self._fps, (width, height))
            if not self._writer.isOpened():
                raise WriteError(f"OpenCV cannot write the video {self._path}")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


@contextlib.contextmanager
def video_written_to(path: PathLike, fps: float) -> Iterator[VideoWriter]:
    """Give a writer for an MP4 that gets its name when the block ends without an error."""
    with written_atomically(path) as part:
        writer = VideoWriter(part, fps)
        try:
            yield writer
        finally:
            writer.close()
        _require_complete(part, Path(path))


def _require_complete(part: Path, path: Path) -> None:
    """Raise WriteError unless the finished file opens: of a full disk OpenCV says nothing, but leaves out the index."""
    capture = cv2.VideoCapture(str(part))
    complete = capture.isOpened()
    capture.release()
    if not complete:
        raise WriteError(f"cannot write {path} to its end", hint="another folder, or free some space")
