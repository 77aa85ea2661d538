"""Label maps and overlays for images, folders and video files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import ImageError, InputError
from rtseg.frame.segmenter import Segmenter
from rtseg.images.files import IMAGE_SUFFIXES, read_image, write_image
from rtseg.images.label_png import write_label_png
from rtseg.images.video import VIDEO_SUFFIXES, VideoReader, video_written_to
from rtseg.observer import SILENT, Observer


@dataclass
class LabellingSummary:
    """What was labelled: pixels by class for each input, and the inputs that could not be read."""

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


def expand_inputs(inputs: Sequence[Path]) -> list[Path]:
    """Return the files meant: a file is itself, a folder its images and videos, sorted, not its subfolders.

    Raises InputError for a path that does not exist and a folder with nothing to label.
    """
    suffixes = IMAGE_SUFFIXES + VIDEO_SUFFIXES
    files: list[Path] = []
    for path in inputs:
        try:
            if not path.is_dir():
                path.stat()
                files.append(path)
                continue
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
        except FileNotFoundError as error:
            raise InputError(f"no such file or folder: {path}") from error
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        if not found:
            raise InputError(
                f"no image or video in {path}", expected=f"files ending in {', '.join(IMAGE_SUFFIXES[:3])}, ..."
            )
        files += found
    return files


def label_files(
    segmenter: Segmenter,
    inputs: Sequence[Path],
    folder: Path,
    *,
    observer: Observer = SILENT,
) -> LabellingSummary:
    """Write NAME_labels.png and NAME_overlay.png for each image into folder; return the summary.

    A video gives NAME_labels/000000.png, ... and NAME_overlay.mp4. An input that cannot be read is
    recorded and the rest goes on. Raises InputError where two inputs would write the same file or one
    of the inputs, and WriteError.
    """
    stems = [path.stem for path in inputs]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise InputError("several inputs have the same name", got=", ".join(twice), hint="one run for each folder")
    kinds = ("labels.png", "overlay.png", "overlay.mp4")
    results = {(folder / f"{stem}_{kind}").resolve() for stem in stems for kind in kinds}
    if lost := sorted(str(path) for path in inputs if path.resolve() in results):
        raise InputError(f"labelling would overwrite the input {lost[0]}", hint="-o with another folder")
    summary = LabellingSummary(segmenter.output.classes.names)
    for done, path in enumerate(inputs, 1):
        label = _label_video if path.suffix.lower() in VIDEO_SUFFIXES else _label_image
        try:
            summary.inputs.append(label(segmenter, path, folder))
        except ImageError as error:
            summary.failures.append({"input": str(path), "error": str(error)})
        observer.progress("labelling", done, len(inputs))
    return summary


def _label_image(segmenter: Segmenter, path: Path, folder: Path) -> dict[str, Any]:
    image = read_image(path)
    labels, overlay = segmenter.with_overlay(image)
    classes = segmenter.output.classes
    write_label_png(folder / f"{path.stem}_labels.png", labels, classes)
    write_image(folder / f"{path.stem}_overlay.png", overlay)
    return _entry(path, classes.names, np.bincount(labels.ravel(), minlength=256), frames=1)


def _label_video(segmenter: Segmenter, path: Path, folder: Path) -> dict[str, Any]:
    video = VideoReader(path)
    classes = segmenter.output.classes
    counts = np.zeros(256, np.int64)
    frames = 0
    with video_written_to(folder / f"{path.stem}_overlay.mp4", video.fps) as writer:
        for frames, image in enumerate(video, 1):
            labels, overlay = segmenter.with_overlay(image)
            counts += np.bincount(labels.ravel(), minlength=256)
            write_label_png(folder / f"{path.stem}_labels" / f"{frames - 1:06d}.png", labels, classes)
            writer.add(overlay)
    return _entry(path, classes.names, counts, frames=frames)


def _entry(path: Path, names: tuple[str, ...], counts: NDArray[np.int64], *, frames: int) -> dict[str, Any]:
    pixels = int(counts.sum())
    shares = {name: int(count) / pixels for name, count in zip(names, counts)}
    return {"input": str(path), "frames": frames, "pixels": pixels, "class_share": shares}
