"""A benchmark run: networks or artifacts in, one JSON-able result with all rows out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rtseg.accuracy.validation import measured_accuracy
from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.manifest import Manifest
from rtseg.benchmarking.boundaries import BOUNDARIES
from rtseg.benchmarking.environment import environment
from rtseg.benchmarking.rows import BenchmarkRow, TimedArtifact, benchmark_rows
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.datasets.labelled import LabelledDataset
from rtseg.datasets.streets.dataset import render_scene
from rtseg.errors import RunnerError
from rtseg.observer import SILENT, Observer
from rtseg.papers.claims import claims_of
from rtseg.runners.loading import load
from rtseg.runners.registry import RUNNABLE, runner_names
from rtseg.specs import Resolution

if TYPE_CHECKING:
    from rtseg.networks.prepared import PreparedNetwork
    from rtseg.networks.spec import NetworkSpec

SCENE = (7, 0)
"""Seed and index of the picture everything is timed on."""


class BenchmarkSession:
    """Collects rows under one rule. The environment is noted before the first row.

    Every artifact is timed behind each of the runners, names of rtseg.runners.registry, that take its kind of file, or
    behind the kind's default where none does. What is added before a call of measure is open at the same time and
    measured in turns, so its rows can be compared with each other.
    """

    def __init__(
        self,
        rule: SamplingRule,
        *,
        runners: Sequence[str] = (),
        threads: int = 0,
        dataset: LabelledDataset | None = None,
        observer: Observer = SILENT,
    ) -> None:
        self._rule = rule
        self._runners = tuple(runners)
        self._threads = threads
        self._dataset = dataset
        self._observer = observer
        self._environment = environment()
        self._added: list[Artifact] = []
        self._rows: list[BenchmarkRow] = []

    def add_network(
        self, network: PreparedNetwork, resolution: Resolution, interfaces: Sequence[str] = ("scores", "logits")
    ) -> None:
        """Add the network behind those interfaces, exported into the cache where need be.

        Its scores give the boundary `network`, its logits `engine` and `frame`.
        """
        from rtseg.exporting.cache import cached_export  # PyTorch, which files do not need

        picture = render_scene(*SCENE, resolution.height, resolution.width)[0]
        for interface in interfaces:
            self._observer.note(f"{network.name} {resolution}: exporting {interface}, unless it is in the cache")
            self.add_artifact(cached_export(network, resolution, interface, images=[picture]))

    def add_artifact(self, source: ArtifactLike) -> None:
        """Add an exported file or an engine. Raises ManifestError for one that is not what its manifest describes."""
        self._added.append(Artifact.open(source, kind=RUNNABLE))

    def measure(self) -> list[BenchmarkRow]:
        """Time every boundary of what was added since the last call, and return the rows.

        With a dataset each row carries the mIoU of its file behind its runner. Raises RunnerError, and
        MissingDependencyError for a runner whose package is not installed.
        """
        added, self._added = self._added, []
        self._require_use_for_each_runner(added)
        with ExitStack() as stack:
            artifacts = [
                self._opened(stack, artifact, name)
                for artifact in added
                for name in self._runners_of(artifact.manifest)
            ]
            if artifacts:
                names = ", ".join(dict.fromkeys(map(_name, added)))
                turns = " in turns" if len(artifacts) > 1 else ""
                self._observer.note(f"{names}: timing{turns}, up to {self._rule.max_seconds:g} s a row")
            rows = benchmark_rows(artifacts, self._rule)
        self._rows += rows
        return rows

    def _require_use_for_each_runner(self, added: Sequence[Artifact]) -> None:
        kinds = {artifact.manifest.kind for artifact in added}
        unused = [name for name in self._runners if not any(name in runner_names(kind) for kind in kinds)]
        if added and unused:
            taken = [name for kind in kinds for name in runner_names(kind)]
            raise RunnerError(f"{unused[0]} runs none of these files", expected=f"one of {', '.join(taken)}")

    def _runners_of(self, manifest: Manifest) -> Sequence[str | None]:
        fitting = [name for name in self._runners if name in runner_names(manifest.kind)]
        return fitting or [None]

    def _opened(self, stack: ExitStack, artifact: Artifact, runner: str | None) -> TimedArtifact:
        manifest, name = artifact.manifest, _name(artifact)
        segmenter = stack.enter_context(load(artifact, runner=runner, threads=self._threads))
        for note in segmenter.runner.notes:
            self._observer.note(f"{name}: {note}")
        miou = None
        if self._dataset is not None:
            self._observer.note(f"{name}: validating on {len(self._dataset)} pictures with {segmenter.runner.backend}")
            miou = measured_accuracy(segmenter, self._dataset, observer=self._observer).miou
        picture = render_scene(*SCENE, manifest.image.height, manifest.image.width)[0]
        return TimedArtifact(segmenter, manifest, picture, _claims(manifest), miou)

    def result(self) -> dict[str, Any]:
        """Measure what is left, and return rule, environment, boundaries and all rows as plain values.

        The rule's "interleaved" says whether rows were measured in turns: those whose "vs_first" is a number.
        """
        self.measure()
        rows = [row.to_json() for row in self._rows]
        return {
            "resolution": ", ".join(sorted({row["resolution"] for row in rows})),
            "rule": {**asdict(self._rule), "interleaved": any(row["vs_first"] is not None for row in rows)},
            "environment": self._environment,
            "boundaries": {name: BOUNDARIES[name] for name in BOUNDARIES if any(r["boundary"] == name for r in rows)},
            "rows": rows,
        }


def _name(artifact: Artifact) -> str:
    """Return the file's name, for a cached export without the digest in it."""
    return re.sub(r"-[0-9a-f]{32}(?=\.onnx$)", "", artifact.path.name)


def _claims(manifest: Manifest) -> list[dict[str, Any]]:
    """Return what the papers say of that network, with its options, at its resolution."""
    with contextlib.suppress(ModuleNotFoundError):  # without PyTorch no network is known by name
        from rtseg.networks.registry import network_names, network_spec

        if manifest.network in network_names():
            return _claims_of(network_spec(manifest.network), manifest)
    return []


def _claims_of(spec: NetworkSpec, manifest: Manifest) -> list[dict[str, Any]]:
    size = manifest.image.resolution
    return [
        claim.to_json()
        for claim in claims_of(spec.name)
        if (claim.height, claim.width) == (size.height, size.width)
        and spec.complete_options(claim.options) == dict(manifest.options)
    ]
