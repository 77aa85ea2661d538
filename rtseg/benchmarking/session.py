"""A benchmark run: measures groups of subjects, each group in turns, and returns all rows as one JSON-able result."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rtseg.accuracy.validation import measured_accuracy
from rtseg.benchmarking.boundaries import BOUNDARIES
from rtseg.benchmarking.environment import environment
from rtseg.benchmarking.rows import Contestant, benchmark_rows
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.datasets.labelled import LabelledDataset
from rtseg.datasets.streets.dataset import render_scene
from rtseg.errors import RtsegError
from rtseg.frame.segmenter import Segmenter
from rtseg.observer import SILENT, Observer, Share
from rtseg.papers.claims import claims_of
from rtseg.runners.loading import load
from rtseg.specs import Resolution

if TYPE_CHECKING:
    from rtseg.networks.spec import NetworkSpec

SCENE = (7, 0)
"""Seed and index of the picture that everything is timed on."""

MEASURING = "measuring"

Row = dict[str, Any]
"""A row as plain values, as BenchmarkRow.to_json gives it."""


class BenchmarkSession:
    """Collects rows under one rule. The environment is recorded before the first row.

    With a dataset, each row of trained weights has the mIoU of its file, measured with its runner.
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
        """Why files could not be loaded, in the order in which this happened."""

    def measure(self, subjects: Sequence[Subject], *, observer: Observer = SILENT) -> list[Row]:
        """Load the subjects, time every boundary of all in turns, and return the rows; the session keeps them too.

        A subject that cannot be loaded or run gets rows that say why. If its accuracy cannot be measured, because a
        picture is damaged or the classes differ, its rows have no mIoU and a warning is given.
        """
        total = 2 * len(subjects)
        with ExitStack() as stack:
            contestants = [
                self._opened(stack, subject, Share(observer, MEASURING, number, 1, total))
                for number, subject in enumerate(subjects)
            ]
            if timed := [one for one in contestants if one.segmenter is not None]:
                names = ", ".join(dict.fromkeys(f"{one.subject.network} {one.subject.resolution}" for one in timed))
                seconds = self.rule.max_seconds + self.rule.warmup_seconds
                observer.note(f"{names}: timing, up to {seconds:g} s a row")
            timing = Share(observer, MEASURING, len(subjects), len(subjects), total)
            rows = [row.to_json() for row in benchmark_rows(contestants, self.rule, timing)]
        self.rows += rows
        return rows

    def _opened(self, stack: ExitStack, subject: Subject, observer: Observer) -> Contestant:
        size = Resolution.parse(subject.resolution)
        picture = render_scene(*SCENE, size.height, size.width)[0]
        claims, name = _claims(subject), f"{subject.network} {subject.resolution} {subject.precision}"
        if subject.artifact is None:
            return Contestant(subject, None, picture, claims, obstacle=subject.obstacle)
        try:
            segmenter = stack.enter_context(load(subject.artifact, runner=subject.runner, threads=self._threads))
        except RtsegError as error:
            self.errors.append(error)
            return Contestant(subject, None, picture, claims, obstacle=Obstacle.of_running(error))
        for note in segmenter.runner.notes:
            observer.note(f"{name}: {note}")
        miou, why_none = self._accuracy(subject, segmenter, name, observer)
        return Contestant(subject, segmenter, picture, claims, miou, why_none)

    def _accuracy(
        self, subject: Subject, segmenter: Segmenter, name: str, observer: Observer
    ) -> tuple[float | None, str]:
        """Return the mIoU, or None and the reason if there is data but no mIoU."""
        if self._dataset is None:
            return None, ""
        if not subject.is_trained:
            observer.note(f"{name} {subject.interface}: no mIoU, the weights are random")
            return None, "the weights are random"
        try:
            return measured_accuracy(segmenter, self._dataset, observer=observer).miou, ""
        except RtsegError as error:
            observer.warning(f"{name} {subject.interface}: no mIoU, {error}")
            return None, str(error)

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
    """Return the papers' values for that network, with its options, at its resolution."""
    with contextlib.suppress(ModuleNotFoundError):  # without PyTorch no network can be looked up
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
