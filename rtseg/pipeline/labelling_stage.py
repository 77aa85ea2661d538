"""Label maps and overlays for images, folders and videos."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.files import PathLike, require_replaceable, write_text_atomically
from rtseg.errors import ImageError
from rtseg.frame.workspaces import require_threads
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.results import Result
from rtseg.runners.registry import RUNNABLE

if TYPE_CHECKING:
    from rtseg.labelling import LabellingSummary


@dataclass(frozen=True, repr=False)
class LabellingResult(Result):
    """The labelled inputs, the artifact that labelled them, and the inputs that could not be read."""

    artifact: Artifact
    backend: str
    device: str
    folder: Path
    summary: LabellingSummary

    def _document(self) -> Mapping[str, Any]:
        """Return artifact, backend and device, pixel shares, inputs and failures, as in summary.json."""
        where = {"artifact": str(self.artifact.path), "backend": self.backend, "device": self.device}
        return {**where, **self.summary.to_json()}

    def require(self) -> None:
        """Raise ImageError if an input could not be labelled, or not to its end."""
        failures = self.summary.failures
        if failures:
            count = len({entry["input"] for entry in [*failures, *self.summary.inputs]})
            first = failures[0]["error"]
            raise ImageError(f"{len(failures)} of {count} inputs could not be labelled: {first}")


def _paths(inputs: PathLike | Iterable[PathLike]) -> list[PathLike]:
    return [inputs] if isinstance(inputs, (str, bytes, os.PathLike)) else list(inputs)


def run(
    source: ArtifactLike,
    inputs: PathLike | Iterable[PathLike],
    output: PathLike,
    *,
    runner: str | None = None,
    threads: int = 0,
    observer: Observer = SILENT,
) -> LabellingResult:
    """Label images, folders of images and videos; write label maps, overlays and summary.json into the folder output.

    A file gives NAME_labels.png and NAME_overlay.png, a video NAME_labels/ and NAME_overlay.mp4. NAME is the input's
    name without suffix; if several would be equal, with suffix or with its folders. Hidden files of a folder are left
    out. An input that is missing or cannot be read is listed in the result and does not affect the others;
    `result.require()` raises for it. runner runs the file, by default the default runner of its kind.

    Raises ManifestError, InputError if no input exists or a result would overwrite an input, RunnerError,
    UnknownNameError, MissingDependencyError and WriteError.
    """
    from rtseg.labelling import expand_inputs, label_files
    from rtseg.runners.loading import load

    require_threads(threads)
    meant, folder = expand_inputs([Path(path) for path in _paths(inputs)]), Path(output)
    require_replaceable(folder / "summary.json")
    artifact = Artifact.open(source, kind=RUNNABLE)
    with load(artifact, runner=runner, threads=threads) as segmenter:
        for note in segmenter.runner.notes:
            observer.note(note)
        summary = label_files(segmenter, meant.files, folder, failures=meant.failures, observer=observer)
    result = LabellingResult(artifact, segmenter.runner.backend, segmenter.runner.device, folder, summary)
    write_text_atomically(folder / "summary.json", json.dumps(result.to_json(), indent=2) + "\n")
    return result
