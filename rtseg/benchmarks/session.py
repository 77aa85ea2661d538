"""A benchmark run: networks or artifacts in, one JSON-able result with all rows out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable

from rtseg.accuracy.validation import validate
from rtseg.artifacts import Manifest, PathLike, read_manifest
from rtseg.benchmarks.boundaries import BOUNDARIES
from rtseg.benchmarks.environment import environment
from rtseg.benchmarks.rows import BenchmarkRow, benchmark_artifact
from rtseg.benchmarks.sampling import SamplingRule
from rtseg.datasets.labelled import LabelledDataset
from rtseg.datasets.streets import render_scene
from rtseg.export.cache import cached_export
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.registry import network_names, network_spec
from rtseg.papers.claims import claims_of
from rtseg.segmenter import load
from rtseg.specs import Resolution

SCENE = (7, 0)
"""Seed and index of the picture everything is timed on."""


class BenchmarkSession:
    """Collects rows under one rule. The environment is noted before the first row."""

    def __init__(
        self,
        rule: SamplingRule,
        *,
        threads: int = 0,
        dataset: LabelledDataset | None = None,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._rule = rule
        self._threads = threads
        self._dataset = dataset
        self._notify = notify
        self._environment = environment()
        self._rows: list[BenchmarkRow] = []

    def add_network(
        self, network: PreparedNetwork, resolution: Resolution, interfaces: Sequence[str] = ("scores", "logits")
    ) -> list[BenchmarkRow]:
        """Time the network behind those interfaces, exported into the cache where need be, and return the rows.

        Its scores give the boundary `network`, its logits `engine` and `frame`.
        """
        picture = render_scene(*SCENE, resolution.height, resolution.width)[0]
        rows = []
        for interface in interfaces:
            self._notify(f"{network.name} {resolution}: exporting {interface}, unless it is in the cache")
            rows += self.add_artifact(cached_export(network, resolution, interface, images=[picture]))
        return rows

    def add_artifact(self, path: PathLike) -> list[BenchmarkRow]:
        """Time every boundary of an exported file and return the rows, with its mIoU where there is a dataset.

        Raises ManifestError for a file that is not what its manifest tells of.
        """
        manifest = read_manifest(path, kind="onnx")
        resolution = manifest.image.resolution
        picture = render_scene(*SCENE, resolution.height, resolution.width)[0]
        with load(path, threads=self._threads) as segmenter:
            miou = None
            if self._dataset is not None:
                self._notify(f"{Path(path).name}: validating on {len(self._dataset)} pictures")
                miou = validate(segmenter, self._dataset).miou
            self._notify(f"{Path(path).name}: timing, up to {self._rule.max_seconds:g} s a row")
            rows = benchmark_artifact(segmenter, manifest, picture, self._rule, claims=_claims(manifest), miou=miou)
        self._rows += rows
        return rows

    def result(self) -> dict[str, Any]:
        """Return rule, environment, boundaries and rows as plain values."""
        rows = [row.to_json() for row in self._rows]
        return {
            "resolution": ", ".join(sorted({row["resolution"] for row in rows})),
            "rule": asdict(self._rule),
            "environment": self._environment,
            "boundaries": {name: BOUNDARIES[name] for name in BOUNDARIES if any(r["boundary"] == name for r in rows)},
            "rows": rows,
        }


def _claims(manifest: Manifest) -> list[dict[str, Any]]:
    """Return what the papers say of that network, with its options, at its resolution."""
    if manifest.network not in network_names():
        return []
    spec, size = network_spec(manifest.network), manifest.image.resolution
    return [
        claim.to_json()
        for claim in claims_of(spec.name)
        if (claim.height, claim.width) == (size.height, size.width)
        and spec.complete_options(claim.options) == dict(manifest.options)
    ]
