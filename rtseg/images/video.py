"""Video files, frame by frame, read and written with OpenCV; frames are uint8 RGB."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.files import PathLike, write_error, written_atomically
from rtseg.errors import ImageError, WriteError
from rtseg.images.decoding import memory_errors
from rtseg.images.stored import require_few_pixels, stored_size
from rtseg.images.video_containers import is_container, missing_part

Pixels = NDArray[np.uint8]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")

UNKNOWN_RATE = 25.0
"""Frames a second of a video that does not state its rate."""
LARGEST_RATE_TERM = 65535
"""Numerator and denominator of a rate are at most this in MPEG-4, which OpenCV writes into an MP4."""
SMALLEST_RATE = 0.01
"""OpenCV rounds slower rates to 0."""
MP4_SIDES = range(2, 8192)
"""Possible sides of a frame in MPEG-4."""


def holdable_rate(rate: float) -> float:
    """Return the nearest rate, in frames a second, that an MP4 can hold: with at most three decimals.

    A rate that is 0, negative or not finite counts as unknown.
    """
    if not math.isfinite(rate) or rate <= 0:
        return UNKNOWN_RATE
    rate = min(max(rate, SMALLEST_RATE), float(LARGEST_RATE_TERM))
    return next(round(rate, digits) for digits in (3, 2, 1, 0) if round(rate * 10**digits) <= LARGEST_RATE_TERM)


class VideoReader:
    """The frames of a video file. Raises ImageError if it cannot be opened, is too large or holds no frame.

    fps is the rate stated in the file, or 25. missing says how much of an incomplete file is there, such as
    "10 bytes of 20", None if the file is complete; the part that is there can be read.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        capture = self._opened()
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self.fps = rate if math.isfinite(rate) and rate > 0 else UNKNOWN_RATE
        self.expected_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        height, width = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        capture.release()
        require_few_pixels(path, height, width)
        self.missing = missing_part(path)

    def __iter__(self) -> Iterator[Pixels]:
        capture = self._opened()
        count = 0
        try:
            while True:
                read, frame = capture.read()
                if not read:
                    break
                count += 1
                with memory_errors():
                    image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                yield image.astype(np.uint8, copy=False)
        finally:
            capture.release()
        if not count:
            raise ImageError(f"{self.path} holds no frame that OpenCV can decode")

    def _opened(self) -> cv2.VideoCapture:
        if not stored_size(self.path):
            raise self._no_video("an empty file")
        try:
            held = is_container(self.path)
        except OSError as error:
            raise ImageError(f"cannot read {self.path}: {error.strerror}") from error
        if not held:
            raise self._no_video("no container of frames")
        if not _is_text(self.path):
            raise ImageError(f"OpenCV cannot open {self.path}", got="a name that is not UTF-8", hint="rename it")
        capture = _captured(self.path)
        if not capture.isOpened():
            capture.release()
            raise self._no_video(missing_part(self.path))
        return capture

    def _no_video(self, got: str | None) -> ImageError:
        return ImageError(f"{self.path} is not a video OpenCV can read", got=got, expected=", ".join(VIDEO_SUFFIXES))


class VideoWriter:
    """An MP4 that takes frames of one size. video_written_to makes the file appear when it is complete."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = holdable_rate(fps)
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: Pixels) -> None:
        """Append a uint8 RGB frame; the first frame sets the size. Raises WriteError, and ImageError for the size."""
        height, width = frame.shape[:2]
        if self._writer is None:
            if not _is_text(self._path):
                raise ImageError("OpenCV cannot write a video of this name", got="one that is not UTF-8")
            if height not in MP4_SIDES or width not in MP4_SIDES:
                raise ImageError(
                    "the frames do not fit into an MP4",
                    got=f"{height}x{width}",
                    expected=f"sides of {MP4_SIDES[0]} to {MP4_SIDES[-1]} pixels",
                )
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), codec, self._fps, (width, height))
            if not self._writer.isOpened():
                raise _why_not_writable(self._path)
        with memory_errors():
            self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


def _is_text(path: Path) -> bool:
    """Return whether a path can be written in UTF-8: OpenCV crashes on a path that cannot."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _captured(path: Path) -> cv2.VideoCapture:
    """Return the capture of a file, by FFmpeg if OpenCV has it: other backends take a name for a pattern of names.

    OpenCV's own messages about a file that is not a video are suppressed; our error replaces them.
    """
    backend = cv2.CAP_FFMPEG if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG) else cv2.CAP_ANY
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(str(path), backend)
    finally:
        cv2.utils.logging.setLogLevel(before)


def _why_not_writable(path: Path) -> WriteError:
    """Return the error to raise if OpenCV cannot write a video; OpenCV itself gives no reason."""
    try:
        with open(path, "ab"):
            return WriteError(f"OpenCV cannot write the video {path}")
    except OSError as error:
        refused = write_error(path, error)
        refused.__cause__ = error
        return refused


@contextlib.contextmanager
def video_written_to(path: PathLike, fps: float) -> Iterator[VideoWriter]:
    """Yield a writer for an MP4 that gets its final name if the block ends without an error.

    fps is rounded to a rate that the container can hold.
    """
    with written_atomically(path) as part:
        writer = VideoWriter(part, fps)
        try:
            yield writer
        finally:
            writer.close()
        _require_complete(part, Path(path))


def _require_complete(part: Path, path: Path) -> None:
    """Raise WriteError unless the finished file opens: on a full disk OpenCV omits the index without an error."""
    capture = _captured(part)
    complete = capture.isOpened()
    capture.release()
    if not complete:
        raise WriteError(f"cannot write {path} to its end", hint="choose another folder, or free some space")
