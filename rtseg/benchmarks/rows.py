"""One row of a benchmark table: what was timed, how long it took, and what the paper says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts import Manifest
from rtseg.benchmarks.boundaries import boundaries_of, boundary_step
from rtseg.benchmarks.sampling import Samples, SamplingRule, measure
from rtseg.segmenter import Segmenter


@dataclass(frozen=True)
class BenchmarkRow:
    """A boundary of one artifact on one device. miou belongs to the very file that was timed."""

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
            "summary": self.samples.summary.to_json(),
            "paper": list(self.claims),
            **self.samples.to_json(),
        }


def benchmark_artifact(
    segmenter: Segmenter,
    manifest: Manifest,
    image: NDArray[np.uint8],
    rule: SamplingRule,
    *,
    claims: Sequence[dict[str, Any]] = (),
    miou: float | None = None,
) -> list[BenchmarkRow]:
    """Return a row for each boundary that the artifact's interface has, all on the same image.

    claims are the paper's rows for this network at this resolution. They are put beside the boundary
    `network`, which is the one the papers time.
    """
    rows = []
    for boundary in boundaries_of(manifest.output.interface):
        samples = measure(boundary_step(segmenter, boundary, image), rule)
        rows.append(
            BenchmarkRow(
                network=manifest.network,
                weights=manifest.weights,
                precision=manifest.precision,
                resolution=str(manifest.image.resolution),
                boundary=boundary,
                backend=segmenter.runner.backend,
                device=segmenter.runner.device,
                artifact_sha256=manifest.sha256,
                samples=samples,
                claims=tuple(claims),
                miou=miou,
            )
        )
    return rows
