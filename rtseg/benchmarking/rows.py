"""The rows of a benchmark table: what was timed, how long it took, and what the paper says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.manifest import Manifest
from rtseg.benchmarking.boundaries import BOUNDARIES, boundaries_of, boundary_step
from rtseg.benchmarking.sampling import Samples, SamplingRule, measure_interleaved
from rtseg.frame.segmenter import Segmenter


@dataclass(frozen=True)
class TimedArtifact:
    """An artifact behind one runner, and the picture it is timed on.

    claims are the paper's rows for this network at this resolution. They are put beside the boundary
    `network`, which is the one the papers time.
    """

    segmenter: Segmenter
    manifest: Manifest
    image: NDArray[np.uint8]
    claims: Sequence[dict[str, Any]] = ()
    miou: float | None = None


@dataclass(frozen=True)
class BenchmarkRow:
    """A boundary of one artifact behind one runner. miou belongs to the very file and runner that were timed.

    vs_first is its median over that of the first row of the same boundary, where both were measured in turns;
    None for a row that was measured on its own.
    """

    network: str
    weights: str
    precision: str
    resolution: str
    boundary: str
    backend: str
    device: str
    artifact_sha256: str
    samples: Samples
    claims: Sequence[dict[str, Any]]
    miou: float | None = None
    vs_first: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the identity, the summary, and the raw samples."""
        return {
            "network": self.network,
            "weights": self.weights,
            "precision": self.precision,
            "resolution": self.resolution,
            "boundary": self.boundary,
            "backend": self.backend,
            "device": self.device,
            "artifact_sha256": self.artifact_sha256,
            "miou": self.miou,
            "vs_first": self.vs_first,
            "summary": self.samples.summary.to_json(),
            "paper": list(self.claims),
            **self.samples.to_json(),
        }


def benchmark_rows(artifacts: Sequence[TimedArtifact], rule: SamplingRule) -> list[BenchmarkRow]:
    """Return a row for each boundary of each artifact, those of one boundary beside each other.

    All that have a boundary are measured in turns, so their ratio is that of the artifacts and not that of the
    minutes in which each was measured.
    """
    rows = []
    for boundary in BOUNDARIES:
        having = [one for one in artifacts if boundary in boundaries_of(one.manifest.output.interface)]
        if having:
            rows += _rows_of(boundary, having, rule)
    return rows


def _rows_of(boundary: str, artifacts: Sequence[TimedArtifact], rule: SamplingRule) -> list[BenchmarkRow]:
    steps = {str(index): boundary_step(one.segmenter, boundary, one.image) for index, one in enumerate(artifacts)}
    measured = list(measure_interleaved(steps, rule).values())
    first_ms = measured[0].summary.median_ms
    return [
        BenchmarkRow(
            network=one.manifest.network,
            weights=one.manifest.weights,
            precision=one.manifest.precision,
            resolution=str(one.manifest.image.resolution),
            boundary=boundary,
            backend=one.segmenter.runner.backend,
            device=one.segmenter.runner.device,
            artifact_sha256=one.manifest.sha256,
            samples=samples,
            claims=tuple(one.claims),
            miou=one.miou,
            vs_first=samples.summary.median_ms / first_ms if len(measured) > 1 and first_ms else None,
        )
        for one, samples in zip(artifacts, measured)
    ]
