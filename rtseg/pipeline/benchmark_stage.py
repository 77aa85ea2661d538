"""How fast networks and files are, with the papers' figures beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtseg.artifacts.artifact import ArtifactLike
from rtseg.errors import SpecError
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import (
    Classes,
    NetworkLike,
    Size,
    classes_of,
    listed,
    prepared_network,
    require_threads,
    resolution_of,
)
from rtseg.pipeline.packages import needed_for
from rtseg.pipeline.results import Result
from rtseg.runners.registry import DEFAULT_RUNNERS

PURPOSE = "timing networks"


@dataclass(frozen=True, repr=False)
class BenchmarkResult(Result):
    """The measured rows with rule, environment and boundaries; of a paper's table also its lines and columns."""

    document: Mapping[str, Any]

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One for each file, boundary and runner: medians, intervals and raw samples in ms, FPS, mIoU."""
        return self.document["rows"]  # type: ignore[no-any-return]

    def _document(self) -> Mapping[str, Any]:
        """Return the document."""
        return dict(self.document)


def bench(
    sources: Sequence[ArtifactLike] | ArtifactLike = (),
    *,
    networks: Sequence[NetworkLike] | NetworkLike = (),
    checkpoint: ArtifactLike | None = None,
    table: str | None = None,
    classes: Classes | None = None,
    resolution: Size | None = None,
    seconds: float = 10.0,
    data: str | None = None,
    split: str = "val",
    runners: Sequence[str] | str = (),
    threads: int = 0,
    observer: Observer = SILENT,
) -> BenchmarkResult:
    """Time ONNX files and engines; or networks by name or factory; or the networks of a paper's table.

    sources are measured in turns, behind each of the runners that takes their kind. Without sources, networks are
    exported once into the cache at the resolution and timed, all registered ones where none is named; checkpoint is
    the weights of one. table names a paper's table (`rtseg bench --tables`), whose sizes and classes hold. Each row
    takes `seconds`; with data it carries the mIoU of the same file.

    Raises SpecError for arguments that exclude one another, ManifestError, UnknownNameError, DatasetError, RunnerError,
    and what `export` raises.
    """
    sources, networks, runners = listed(sources), listed(networks), listed(runners)
    require_threads(threads)
    if not 0 < seconds < math.inf:
        raise SpecError("seconds is out of range", got=seconds, expected="more than 0")
    if table is not None:
        if sources or networks or checkpoint is not None or data is not None:
            raise SpecError("a paper's table brings its own networks, and random weights have no mIoU")
        if len(runners) > 1:
            raise SpecError("a paper's table has one column for here", got=", ".join(runners), expected="one runner")
        return _table(table, classes, resolution, seconds, runners, threads, observer)
    if sources and (networks or checkpoint is not None or resolution is not None or classes is not None):
        raise SpecError("files bring their own network, classes and resolution", expected="files or networks")
    if not sources and resolution is None:
        raise SpecError("the resolution of the networks is missing", hint="512x1024 (height x width)")
    from rtseg.benchmarking.sampling import SamplingRule
    from rtseg.benchmarking.session import BenchmarkSession
    from rtseg.datasets.registry import open_dataset

    session = BenchmarkSession(
        SamplingRule.within(seconds),
        runners=runners,
        threads=threads,
        dataset=open_dataset(data, split) if data else None,
        observer=observer,
    )
    for source in sources:
        session.add_artifact(source)
    if not sources:
        assert resolution is not None
        with needed_for(PURPOSE, "export"):
            from rtseg.networks.registry import network_names

        names: Sequence[NetworkLike | None] = networks or ([None] if checkpoint is not None else network_names())
        for name in names:
            network = prepared_network(name, checkpoint=checkpoint, classes=classes)
            session.add_network(network, resolution_of(resolution))
            if not networks:
                session.measure()  # so many networks at once would fill the memory
    return BenchmarkResult(session.result())


def _table(
    table_id: str,
    classes: Classes | None,
    resolution: Size | None,
    seconds: float,
    runners: Sequence[str],
    threads: int,
    observer: Observer,
) -> BenchmarkResult:
    with needed_for(PURPOSE, "export"):
        from rtseg.benchmarking.paper_table import benchmark_table, plan_table, speed_table
        from rtseg.benchmarking.paper_table import classes_of as classes_of_table
        from rtseg.benchmarking.sampling import SamplingRule

    table = speed_table(table_id)
    size = None if resolution is None else resolution_of(resolution)
    plan = plan_table(table, classes_of_table(table) if classes is None else classes_of(classes), size)
    runner = runners[0] if runners else DEFAULT_RUNNERS["onnx"]
    rule = SamplingRule.within(seconds)
    return BenchmarkResult(benchmark_table(plan, rule, runner=runner, threads=threads, observer=observer))
