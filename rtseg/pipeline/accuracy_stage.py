"""Measure the accuracy of a file: against labels, or in comparison with another file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.errors import DatasetError, SpecError
from rtseg.frame.workspaces import require_threads
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import require_at_least
from rtseg.pipeline.results import Result
from rtseg.runners.registry import RUNNABLE, runner_names

if TYPE_CHECKING:
    from rtseg.accuracy.comparison import Comparison
    from rtseg.accuracy.confusion import AccuracyResult
    from rtseg.accuracy.gate import Verdict
    from rtseg.frame.segmenter import Segmenter


@dataclass(frozen=True, repr=False)
class Ran(Result):
    """An artifact, with the runner and the device that ran it."""

    artifact: Artifact
    runner: str
    device: str

    def _document(self) -> Mapping[str, Any]:
        """Return path, precision, resolution, runner and device."""
        manifest = self.artifact.manifest
        return {
            "artifact": str(self.artifact.path),
            "precision": manifest.precision,
            "resolution": str(manifest.image.resolution),
            "runner": self.runner,
            "device": self.device,
        }


@dataclass(frozen=True, repr=False)
class ValidationResult(Result):
    """The accuracy of one artifact on a number of pictures of a split."""

    ran: Ran
    data: str
    split: str
    pictures: int
    accuracy: AccuracyResult

    @property
    def miou(self) -> float | None:
        """The mean of the classes' IoUs, from 0 to 1; None if no class was seen."""
        return self.accuracy.miou

    def _document(self) -> Mapping[str, Any]:
        """Return plain values, not nested."""
        where = {"data": self.data, "split": self.split, "pictures": self.pictures}
        return {**self.ran.to_json(), **where, **self.accuracy.to_json()}


@dataclass(frozen=True, repr=False)
class ComparisonResult(Result):
    """A candidate compared with a reference on the same pictures; the verdict if a bound was given, else None."""

    candidate: Ran
    reference: Ran
    data: str
    split: str | None
    comparison: Comparison
    verdict: Verdict | None

    @property
    def miou(self) -> float | None:
        """The candidate's mIoU, from 0 to 1; None without labels."""
        return None if self.comparison.candidate is None else self.comparison.candidate.miou

    def _document(self) -> Mapping[str, Any]:
        """Return plain values; the gate is None without a bound."""
        measured = self.comparison.to_json()
        return {
            "data": self.data,
            "split": self.split,
            **measured,
            "candidate": {**self.candidate.to_json(), "accuracy": measured["candidate"]},
            "reference": {**self.reference.to_json(), "accuracy": measured["reference"]},
            "gate": None if self.verdict is None else self.verdict.to_json(),
        }

    def require(self) -> None:
        """Raise AccuracyLossError if a bound is exceeded."""
        if self.verdict is not None:
            self.verdict.require()


@overload
def validate(
    source: ArtifactLike,
    data: str,
    *,
    against: None = None,
    split: str = "val",
    limit: int | None = None,
    runner: str | None = None,
    threads: int = 0,
    observer: Observer = SILENT,
) -> ValidationResult: ...


@overload
def validate(
    source: ArtifactLike,
    data: str,
    *,
    against: ArtifactLike,
    split: str = "val",
    limit: int | None = None,
    runner: str | None = None,
    against_runner: str | None = None,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    threads: int = 0,
    observer: Observer = SILENT,
) -> ComparisonResult: ...


def validate(
    source: ArtifactLike,
    data: str,
    *,
    against: ArtifactLike | None = None,
    split: str = "val",
    limit: int | None = None,
    runner: str | None = None,
    against_runner: str | None = None,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    threads: int = 0,
    observer: Observer = SILENT,
) -> ValidationResult | ComparisonResult:
    """Measure mIoU and class IoUs of an ONNX file or engine, alone or in comparison with another file.

    data is a dataset ("camvid:DIR", "streets"). With against it may also be "images:DIR", which measures agreement
    only. limit uses only the first pictures of split. runner runs the files, by default the default runner of their
    kind. max_drop (points of mIoU) and min_agreement (per cent of the pixels) are the bounds of a comparison;
    `result.require()` raises AccuracyLossError if one is exceeded.

    Raises ManifestError, DatasetError, SpecError, UnknownNameError, RunnerError and MissingDependencyError.
    """
    require_at_least(1, limit=limit)
    require_threads(threads)
    if against is None:
        if any(bound is not None for bound in (against_runner, max_drop, min_agreement)):
            raise SpecError("a bound, and a second runner, need another file to compare with", hint="pass against=")
        return _alone(source, data, split, limit, runner, threads, observer)
    from rtseg.accuracy.gate import Gate
    from rtseg.accuracy.reference_run import compare
    from rtseg.datasets.registry import is_labelled, open_dataset, open_pictures
    from rtseg.runners.loading import load

    labelled = is_labelled(data)
    gate = Gate(max_drop, min_agreement)
    gate.require_measurable(labelled=labelled)
    pictures = open_dataset(data, split, observer) if labelled else open_pictures(data, split, observer)
    first, second = (Artifact.open(each, kind=RUNNABLE) for each in (source, against))
    beside = against_runner or (runner if runner in runner_names(second.manifest.kind) else None)
    with (
        load(first, runner=runner, threads=threads) as candidate,
        load(second, runner=beside, threads=threads) as other,
    ):
        for note in (*candidate.runner.notes, *other.runner.notes):
            observer.note(note)
        comparison = compare(candidate, other, pictures, limit=limit, observer=observer)
    return ComparisonResult(
        _ran(first, candidate),
        _ran(second, other),
        data.partition(":")[0],
        split if labelled else None,
        comparison,
        None if gate == Gate() else gate.verdict(comparison),
    )


def _alone(
    source: ArtifactLike,
    data: str,
    split: str,
    limit: int | None,
    runner: str | None,
    threads: int,
    observer: Observer,
) -> ValidationResult:
    from rtseg.accuracy.validation import measured_accuracy
    from rtseg.datasets.registry import is_labelled, open_dataset
    from rtseg.runners.loading import load

    if not is_labelled(data):
        raise DatasetError(f"{data} has no labels to validate on", hint="pass --against B to measure agreement with B")
    dataset = open_dataset(data, split, observer)
    artifact = Artifact.open(source, kind=RUNNABLE)
    with load(artifact, runner=runner, threads=threads) as segmenter:
        for note in segmenter.runner.notes:
            observer.note(note)
        accuracy = measured_accuracy(segmenter, dataset, limit=limit, observer=observer)
    pictures = len(dataset) if limit is None else min(limit, len(dataset))
    return ValidationResult(_ran(artifact, segmenter), data.partition(":")[0], split, pictures, accuracy)


def _ran(artifact: Artifact, segmenter: Segmenter) -> Ran:
    return Ran(artifact, segmenter.runner.backend, segmenter.runner.device)
