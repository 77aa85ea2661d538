"""A benchmark run: groups of subjects in, each measured in turns, one JSON-able result with all rows out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rtseg.accuracy.validation import measured_accuracy, require_same_classes
from rtseg.benchmarking.boundaries import BOUNDARIES
from rtseg.benchmarking.environment import environment
from rtseg.benchmarking.rows import Contestant, benchmark_rows
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.datasets.labelled import LabelledDataset
from rtseg.datasets.streets.dataset import render_scene
from rtseg.errors import DatasetError, RtsegError
from rtseg.observer import SILENT, Observer
from rtseg.papers.claims import claims_of
from rtseg.runners.loading import load
from rtseg.specs import Resolution

if TYPE_CHECKING:
    from rtseg.networks.spec import NetworkSpec

SCENE = (7, 0)
"""Seed and index of the picture everything is timed on."""

Row = dict[str, Any]
"""A row as plain values, as BenchmarkRow.to_json gives it."""


class BenchmarkSession:
    """Collects rows under one rule. The environment is noted before the first row.

    With a dataset each row of trained weights carries the mIoU of its file behind its runner.
    """

    def __init__(
        self,
        rule: SamplingRule,
        *,
        threads: int = 0,
        dataset: LabelledDataset | None = None,
        split: str = "",
    ) -> None:
        self.rule = rule
        self._threads = threads
        self._dataset = dataset
        self._split = split
        self.environment: dict[str, Any] = environment()
        self.rows: list[Row] = []
        self.errors: list[RtsegError] = []
        """What kept files from being loaded, in the order in which it was met."""

    def measure(self, subjects: Sequence[Subject], *, observer: Observer = SILENT) -> list[Row]:
        """Load the subjects, time every boundary of all in turns, and return the rows, which the session keeps too.

        A subject that cannot be loaded or run has rows that say why. Raises DatasetError for a file of other classes
        than the dataset's.
        """
        with ExitStack() as stack:
            contestants = [self._opened(stack, subject, observer) for subject in subjects]
            if timed := [one for one in contestants if one.segmenter is not None]:
                names = ", ".join(dict.fromkeys(f"{one.subject.network} {one.subject.resolution}" for one in timed))
                turns = " in turns" if len(timed) > 1 else ""
                observer.note(f"{names}: timing{turns}, up to {self.rule.max_seconds:g} s a row")
            rows = [row.to_json() for row in benchmark_rows(contestants, self.rule)]
        self.rows += rows
        return rows

    def _opened(self, stack: ExitStack, subject: Subject, observer: Observer) -> Contestant:
        size = Resolution.parse(subject.resolution)
        picture = render_scene(*SCENE, size.height, size.width)[0]
        claims, name = _claims(subject), f"{subject.network} {subject.resolution} {subject.precision}"
        if subject.artifact is None:
            return Contestant(subject, None, picture, claims, obstacle=subject.obstacle)
        miou = None
        try:
            segmenter = stack.enter_context(load(subject.artifact, runner=subject.runner, threads=self._threads))
            for note in segmenter.runner.notes:
                observer.note(f"{name}: {note}")
            if self._dataset is not None:
                require_same_classes(segmenter, self._dataset.classes)
                if subject.is_trained:
                    miou = measured_accuracy(segmenter, self._dataset, observer=observer).miou
                else:
                    observer.note(f"{name}: no mIoU, the weights are random")
        except DatasetError:
            raise
        except RtsegError as error:
            self.errors.append(error)
            return Contestant(subject, None, picture, claims, obstacle=Obstacle.of(error))
        return Contestant(subject, segmenter, picture, claims, miou)

    def result(self) -> dict[str, Any]:
        """Return rule, environment, data, boundaries and all rows as plain values; data is None without a dataset.

        The rule's "interleaved" says whether rows were measured in turns: those whose "vs_first" is a number.
        """
        rows = self.rows
        return {
            "resolution": ", ".join(sorted({row["resolution"] for row in rows})),
            "rule": {**asdict(self.rule), "interleaved": any(row["vs_first"] is not None for row in rows)},
            "environment": self.environment,
            "data": self._data(),
            "boundaries": {name: BOUNDARIES[name] for name in BOUNDARIES if any(r["boundary"] == name for r in rows)},
            "rows": rows,
        }

    def _data(self) -> dict[str, Any] | None:
        if self._dataset is None:
            return None
        return {"name": self._dataset.classes.dataset, "split": self._split, "pictures": len(self._dataset)}


def _claims(subject: Subject) -> list[dict[str, Any]]:
    """Return what the papers say of that network, with its options, at its resolution."""
    with contextlib.suppress(ModuleNotFoundError):  # without PyTorch no network is known by name
        from rtseg.networks.registry import network_names, network_spec

        if subject.network in network_names():
            return _claims_of(network_spec(subject.network), subject)
    return []


def _claims_of(spec: NetworkSpec, subject: Subject) -> list[dict[str, Any]]:
    size = Resolution.parse(subject.resolution)
    return [
        claim.to_json()
        for claim in claims_of(spec.name)
        if (claim.height, claim.width) == (size.height, size.width)
        and spec.complete_options(claim.options) == dict(subject.options)
    ]
