"""The rows of a benchmark table: what was timed, its times or why there are none, and what the paper states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

from rtseg.benchmarking.boundaries import BOUNDARIES, boundary_step
from rtseg.benchmarking.sampling import Samples, SamplingRule, measure_interleaved
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.errors import RtsegError
from rtseg.frame.segmenter import Segmenter
from rtseg.observer import SILENT, Observer
from rtseg.runners.registry import default_runner

NOT_TIMED = "NOT TIMED"
"""The status of a row without samples."""


@dataclass(frozen=True)
class Contestant:
    """A subject, loaded or not, and the picture it is timed on.

    segmenter is None if obstacle says why the subject cannot be timed. claims are the paper's rows for this network at
    this resolution. They are shown with the boundary `network`, which is what papers time.
    """

    subject: Subject
    segmenter: Segmenter | None
    image: NDArray[np.uint8]
    claims: Sequence[dict[str, Any]] = ()
    miou: float | None = None
    why_no_miou: str = ""
    obstacle: Obstacle | None = None


@dataclass(frozen=True)
class BenchmarkRow:
    """One boundary of one subject. miou belongs to exactly the file and runner that were timed.

    samples is None if obstacle says why there are none. vs_first is the median divided by that of the first row of the
    same boundary, if both were measured in turns; None for a row that was measured on its own.
    """

    subject: Subject
    boundary: str
    backend: str
    device: str
    samples: Samples | None
    claims: Sequence[dict[str, Any]]
    miou: float | None = None
    why_no_miou: str = ""
    vs_first: float | None = None
    obstacle: Obstacle | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the identity, the summary, and the raw samples.

        For a row that was not timed the summary is None and there are no samples; "word" is its obstacle in one or two
        words, "reason" the whole sentence.
        """
        subject = self.subject
        return {
            "network": subject.network,
            "weights": subject.weights,
            "precision": subject.precision,
            "resolution": subject.resolution,
            "options": dict(subject.options),
            "file": subject.file,
            "boundary": self.boundary,
            "backend": self.backend,
            "device": self.device,
            "artifact_sha256": None if subject.artifact is None else subject.artifact.manifest.sha256,
            "verdict": None if subject.verdict is None else dict(subject.verdict),
            "miou": self.miou,
            "why_no_miou": self.why_no_miou,
            "vs_first": self.vs_first,
            "summary": None if self.samples is None else self.samples.summary.to_json(),
            "paper": list(self.claims),
            **self._outcome(),
        }

    def _outcome(self) -> dict[str, Any]:
        if self.samples is not None:
            return {**self.samples.to_json(), "word": ""}
        assert self.obstacle is not None
        none: dict[str, Any] = {"warmup_count": 0, "samples_ns": []}
        return {"status": NOT_TIMED, "reason": self.obstacle.reason, **none, "word": self.obstacle.word}


def benchmark_rows(
    contestants: Sequence[Contestant], rule: SamplingRule, observer: Observer = SILENT
) -> list[BenchmarkRow]:
    """Return a row for each boundary of each contestant, with the rows of one boundary next to each other.

    All contestants with a boundary are measured in turns, so their ratio reflects the files and not the minute in which
    each was measured. A contestant that fails loses only its own row.
    """
    rows = []
    present = [name for name in BOUNDARIES if any(name in one.subject.boundaries for one in contestants)]
    for number, boundary in enumerate(present):
        observer.progress("timing", number, len(present), boundary)
        rows += _rows_of(boundary, [one for one in contestants if boundary in one.subject.boundaries], rule)
    observer.progress("timing", len(present), len(present))
    return rows


def _rows_of(boundary: str, contestants: Sequence[Contestant], rule: SamplingRule) -> list[BenchmarkRow]:
    steps: dict[str, Callable[[], None]] = {}
    obstacles: dict[str, Obstacle | None] = {}
    for index, one in enumerate(contestants):
        obstacles[str(index)] = one.obstacle
        if one.segmenter is not None:
            try:
                step = boundary_step(one.segmenter, boundary, one.image)
                step()
            except RtsegError as error:
                obstacles[str(index)] = Obstacle.of_running(error)
            else:
                steps[str(index)] = step
    measured = _measured(steps, rule, obstacles)
    first_ms = next((samples.summary.median_ms for samples in measured.values()), 0)
    rows = []
    for index, one in enumerate(contestants):
        samples = measured.get(str(index))
        compared = samples is not None and len(measured) > 1 and first_ms
        runner = None if one.segmenter is None else one.segmenter.runner
        rows.append(
            BenchmarkRow(
                subject=one.subject,
                boundary=boundary,
                backend=_runner_named(one.subject) if runner is None else runner.backend,
                device="" if runner is None else runner.device,
                samples=samples,
                claims=tuple(one.claims),
                miou=one.miou,
                why_no_miou=one.why_no_miou,
                vs_first=samples.summary.median_ms / first_ms if samples is not None and compared else None,
                obstacle=obstacles[str(index)] if samples is None else None,
            )
        )
    return rows


def _measured(
    steps: Mapping[str, Callable[[], None]], rule: SamplingRule, obstacles: dict[str, Obstacle | None]
) -> dict[str, Samples]:
    """Return the samples of the steps that complete; a step that fails gets an obstacle."""
    left = dict(steps)
    while left:
        try:
            return measure_interleaved(left, rule)
        except RtsegError as error:
            failed = [name for name, step in left.items() if _fails(step)] or list(left)
            for name in failed:  # if none of them fails again, nobody knows which one it was
                obstacles[name] = Obstacle.of_running(error)
                del left[name]
    return {}


def _fails(step: Callable[[], None]) -> bool:
    try:
        step()
    except RtsegError:
        return True
    return False


def _runner_named(subject: Subject) -> str:
    """Return the name of the runner that would have run it."""
    if subject.runner is None and subject.artifact is not None:
        return default_runner(subject.artifact.manifest)
    return subject.runner or ""
