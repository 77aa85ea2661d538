"""Label maps and overlays for images, folders and video files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import ImageError, InputError, WriteError
from rtseg.frame.segmenter import Segmenter
from rtseg.images.files import PictureReader, write_image
from rtseg.images.folders import listed
from rtseg.images.frame_folder import frame_name, frames_written_to
from rtseg.images.label_png import write_label_png
from rtseg.images.result_names import folded, result_names
from rtseg.images.stored import IMAGE_SUFFIXES
from rtseg.images.video import VIDEO_SUFFIXES, VideoReader, video_written_to
from rtseg.observer import SILENT, Observer


@dataclass
class LabellingSummary:
    """What was labelled: results and pixels by class for each input, and the inputs that could not be read completely.

    Results are named relative to the output folder. "labels" is a file for an image and a folder for a video.
    """

    class_names: tuple[str, ...]
    inputs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the share of each class over all pixels."""
        pixels = sum(entry["pixels"] for entry in self.inputs)
        total = {
            name: sum(entry["class_share"][name] * entry["pixels"] for entry in self.inputs) / pixels if pixels else 0.0
            for name in self.class_names
        }
        return {"pixels": pixels, "class_share": total, "inputs": self.inputs, "failures": self.failures}


class Inputs(NamedTuple):
    """The files to label, and the paths that give none, as entries for a summary's failures."""

    files: list[Path]
    failures: list[dict[str, str]]


def expand_inputs(inputs: Sequence[Path]) -> Inputs:
    """Return the files to label: a file is itself, a folder its images and videos, sorted, without its subfolders.

    Hidden entries of a folder are left out. Everything else named like an image or a video is returned, so that reading
    it later reports what is wrong with it. A file named twice is returned once. A path that does not exist, or a folder
    with nothing to label, does not stop the others. Raises InputError if no file is left.
    """
    files: dict[str, Path] = {}
    errors: list[tuple[Path, InputError]] = []
    for path in inputs:
        try:
            files.update((os.path.abspath(found), found) for found in _files_of(path))
        except InputError as error:
            errors.append((path, error))
    if errors and not files:
        raise errors[0][1]
    return Inputs(list(files.values()), [_failure(path, error) for path, error in errors])


def _files_of(path: Path) -> list[Path]:
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            return [path]
        found = listed(path, IMAGE_SUFFIXES + VIDEO_SUFFIXES)
    except FileNotFoundError as error:
        raise InputError(f"no such file or folder: {path}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise InputError(
            f"no image or video in {path}", expected=f"files ending in {', '.join(IMAGE_SUFFIXES[:3])}, ..."
        )
    return found


def label_files(
    segmenter: Segmenter,
    inputs: Sequence[Path],
    folder: Path,
    *,
    failures: Sequence[dict[str, str]] = (),
    observer: Observer = SILENT,
) -> LabellingSummary:
    """Write NAME_labels.png and NAME_overlay.png for each image into folder; return the summary.

    A video gives NAME_labels/000000.png, ... and NAME_overlay.mp4. NAME is the file's name without its suffix, or
    longer if several files would share it (rtseg.images.result_names); the summary has the names of all results. An
    input is recorded as a failure, and the rest goes on, if it cannot be read, is too large for the memory, has too
    long a name, or if something other than a file (a folder, a device) is where a result should go. These failures
    follow the ones passed in. Raises InputError if a result would overwrite an input, and WriteError.
    """
    names = result_names(inputs)
    _require_kept(inputs, names, folder)
    summary = LabellingSummary(segmenter.output.classes.names, failures=list(failures))
    read = PictureReader(observer.warning)
    for done, (path, name) in enumerate(zip(inputs, names), 1):
        try:
            if _is_video(path):
                _label_video(segmenter, path, folder, name, summary)
            else:
                _label_image(segmenter, path, folder, name, summary, read)
        except ImageError as error:
            summary.failures.append(_failure(path, error))
        except MemoryError:
            too_large = ImageError(f"there is not enough memory to label {path}", hint="use a smaller picture")
            summary.failures.append(_failure(path, too_large))
        except WriteError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in (None, errno.ENAMETOOLONG):
                raise  # no other input could be written either
            why: InputError = ImageError(str(error))
            if error.__cause__.errno is not None:
                why = ImageError(f"the name of {path} is too long for its results", hint="shorten it")
            summary.failures.append(_failure(path, why))
        observer.progress("labelling", done, len(inputs))
    return summary


def _failure(path: Path, error: InputError) -> dict[str, str]:
    text = str(error)
    return {"input": str(path), "error": text if str(path) in text else f"{path}: {text}"}


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _require_kept(inputs: Sequence[Path], names: Sequence[str], folder: Path) -> None:
    """Raise InputError where a result would overwrite an input."""
    results = set()
    for path, name in zip(inputs, names):
        for kind in ("labels", "overlay.mp4") if _is_video(path) else ("labels.png", "overlay.png"):
            results.add(folded(os.path.realpath(folder / f"{name}_{kind}")))
    for path in inputs:
        place = folded(os.path.realpath(path))
        if not results.isdisjoint((place, os.path.dirname(place))):
            raise InputError(f"labelling would overwrite the input {path}", hint="choose another folder with -o")


def _label_image(
    segmenter: Segmenter, path: Path, folder: Path, name: str, summary: LabellingSummary, read: PictureReader
) -> None:
    labels, overlay = segmenter.with_overlay(read(path))
    classes = segmenter.output.classes
    results = {"labels": f"{name}_labels.png", "overlay": f"{name}_overlay.png"}
    write_image(folder / results["overlay"], overlay)
    try:
        write_label_png(folder / results["labels"], labels, classes)
    except WriteError:
        (folder / results["overlay"]).unlink()  # never leave one without the other
        raise
    counts = np.bincount(labels.ravel(), minlength=256)
    summary.inputs.append(_entry(path, classes.names, counts, frames=1, results=results))


def _label_video(segmenter: Segmenter, path: Path, folder: Path, name: str, summary: LabellingSummary) -> None:
    video = VideoReader(path)
    classes = segmenter.output.classes
    counts = np.zeros(256, np.int64)
    frames = 0
    results = {"labels": f"{name}_labels", "overlay": f"{name}_overlay.mp4"}
    with (
        frames_written_to(folder / results["labels"]) as frame_folder,
        video_written_to(folder / results["overlay"], video.fps) as writer,
    ):
        for frames, image in enumerate(video, 1):
            labels, overlay = segmenter.with_overlay(image)
            writer.add(overlay)
            counts += np.bincount(labels.ravel(), minlength=256)
            write_label_png(frame_folder / frame_name(frames - 1), labels, classes)
    summary.inputs.append(_entry(path, classes.names, counts, frames=frames, results=results))
    if video.missing is not None:
        error = ImageError(f"{path} ends early: {video.missing} are there; the {frames} frames in them are labelled")
        summary.failures.append(_failure(path, error))


def _entry(
    path: Path, names: tuple[str, ...], counts: NDArray[np.int64], *, frames: int, results: dict[str, str]
) -> dict[str, Any]:
    pixels = int(counts.sum())
    shares = {name: int(count) / pixels for name, count in zip(names, counts)}
    return {"input": str(path), **results, "frames": frames, "pixels": pixels, "class_share": shares}
