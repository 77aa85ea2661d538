"""Time networks and files, with the papers' figures for comparison, and measure their accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from rtseg.artifacts.artifact import ArtifactLike
from rtseg.artifacts.files import PathLike
from rtseg.errors import InputError, RunnerError, SpecError
from rtseg.frame.workspaces import require_threads
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import (
    Classes,
    NetworkLike,
    NormalizationLike,
    OwnNetwork,
    Size,
    classes_of,
    listed,
    normalization_of,
    path_of,
    resolution_of,
)
from rtseg.pipeline.contenders import Contender, contenders_of
from rtseg.pipeline.packages import needed_for
from rtseg.pipeline.results import Result
from rtseg.specs import Resolution

if TYPE_CHECKING:
    from rtseg.benchmarking.groups import Group
    from rtseg.benchmarking.paper_table import TablePlan
    from rtseg.benchmarking.session import BenchmarkSession, Row
    from rtseg.datasets.labelled import LabelledDataset

PURPOSE = "timing networks"


@dataclass(frozen=True, repr=False)
class BenchmarkResult(Result):
    """The rows with rule, environment and boundaries; for a paper's table also its lines, columns and contenders."""

    document: Mapping[str, Any]

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row for each file, boundary and runner: medians, intervals and raw samples in ms, FPS, mIoU.

        A row that was not timed has the status NOT TIMED, a reason, and None for its summary.
        """
        return self.document["rows"]  # type: ignore[no-any-return]

    @property
    def skipped(self) -> Sequence[str]:
        """Why files were skipped, one text for each: they are missing or damaged, and have no row."""
        return self.document.get("skipped", [])  # type: ignore[no-any-return]

    @property
    def is_complete(self) -> bool:
        """Whether no file was skipped, and every row was timed."""
        return not self.skipped and all(row["summary"] is not None for row in self.rows)

    def _document(self) -> Mapping[str, Any]:
        """Return the document."""
        return dict(self.document)


class BenchmarkInterrupted(KeyboardInterrupt):
    """Ctrl-C in a benchmark. result has the rows of the finished groups; resume can continue it if resumable."""

    def __init__(self, result: BenchmarkResult, *, resumable: bool) -> None:
        super().__init__()
        self.result = result
        self.resumable = resumable


def bench(
    sources: Sequence[ArtifactLike] | ArtifactLike = (),
    *,
    networks: Sequence[NetworkLike] | NetworkLike = (),
    checkpoint: ArtifactLike | None = None,
    checkpoints: PathLike | None = None,
    table: str | None = None,
    classes: Classes | None = None,
    resolution: Size | None = None,
    head: str | int | None = None,
    threshold: float | None = None,
    normalization: NormalizationLike | None = None,
    fit: str | None = None,
    padding: int | None = None,
    seconds: float = 10.0,
    data: str | None = None,
    split: str = "val",
    runners: Sequence[str] | str = (),
    precisions: Sequence[str] | str = (),
    threads: int = 0,
    resume: bool = False,
    observer: Observer = SILENT,
) -> BenchmarkResult:
    """Time ONNX files and engines; or networks by name or factory; or the networks of a paper's table.

    sources are measured in turns, with each of the runners for their kind. Without sources, networks are exported at
    the resolution, calibrated and quantized if precisions has "int8" or "fp16", built if a runner needs engines, all in
    the cache, and timed with each runner in each precision. If no network is named, all registered ones are timed.
    Runners and precisions default to what this machine has: an FP16 engine on a GPU, else ONNX Runtime and FP32. table
    names a paper's table (`rtseg bench --tables`), which sets sizes and classes.

    With data, each row with trained weights has the mIoU of the same file with the same runner, and INT8 is calibrated
    on its training pictures. checkpoint holds the weights of one network. checkpoints is a folder with weights of each
    network; with data its default is the repository's folder. Each row takes `seconds`. head, threshold, normalization,
    fit and padding are those of `export`, for named networks of your own.

    A file that cannot be made, loaded or run gives a row with the reason. A given file that is missing or damaged is
    skipped, with a warning. Ctrl-C raises BenchmarkInterrupted with the finished rows. The same call with resume
    continues after the last finished unit: a network of all registered ones, a size of a table, or an interface of
    named networks.

    Raises SpecError for arguments that exclude one another, ManifestError, UnknownNameError, DatasetError, RunnerError
    if none of the sources can be run, and what `export` raises.
    """
    sources, networks, runners, precisions = listed(sources), listed(networks), listed(runners), listed(precisions)
    require_threads(threads)
    if not 0 < seconds < math.inf:
        raise SpecError("seconds is out of range", got=seconds, expected="more than 0")
    if table is not None and (sources or networks or checkpoint is not None):
        raise SpecError("a paper's table brings its own networks", hint="pass checkpoints, a folder of their weights")
    own = OwnNetwork(head, threshold, normalization_of(normalization), fit, padding)
    if own != OwnNetwork() and (sources or table is not None or not (networks or checkpoint is not None)):
        raise SpecError(
            "head, threshold and preprocessing apply to a network of your own only",
            hint="pass --module PACKAGE.MODULE:FACTORY (networks= in Python), or leave them out",
        )
    brought = networks or checkpoint is not None or checkpoints is not None or precisions
    if sources and (brought or resolution is not None or classes is not None):
        raise SpecError(
            "files bring their own network, classes, precision and resolution", expected="files or networks"
        )
    if not sources and table is None and resolution is None:
        raise SpecError("the resolution of the networks is missing", hint="pass 512x1024 (height x width)")
    from rtseg.benchmarking.sampling import SamplingRule
    from rtseg.benchmarking.session import BenchmarkSession
    from rtseg.datasets.registry import is_labelled, open_dataset, open_pictures

    if data is not None and not is_labelled(data) and not sources:
        open_pictures(data, split)  # an invalid folder is refused now
    labelled = data is not None and (is_labelled(data) or bool(sources))
    dataset = open_dataset(data, split, observer) if data is not None and labelled else None
    if dataset is not None:
        _require_labels(dataset, observer)
    session = BenchmarkSession(SamplingRule.within(seconds), threads=threads, dataset=dataset, split=split)
    if sources:
        if resume:
            raise SpecError("a benchmark of files runs in one go, so there is nothing to resume")
        return _of_files(session, sources, runners, observer)
    with needed_for(PURPOSE, "export"):
        from rtseg.pipeline.benchmark_files import BenchmarkFiles
        from rtseg.pipeline.benchmark_groups import NetworkGroups, groups_of_table
        from rtseg.pipeline.trained_weights import TrainedWeights
    contenders = contenders_of(runners, precisions, observer)
    files = BenchmarkFiles(data, split, threads)
    weights = TrainedWeights(checkpoints, observer) if labelled or checkpoints is not None else None
    size = None if resolution is None else resolution_of(resolution)
    with needed_for(PURPOSE, "export"):
        if table is None:
            assert size is not None
            data_classes = None if dataset is None else dataset.classes
            named = NetworkGroups(networks, checkpoint, classes, data_classes, weights, own)
            groups, document = named.groups(size, contenders, files), _nothing_more
        else:
            plan = _plan(table, classes, size, dataset)
            groups, document = groups_of_table(plan, contenders, files, weights), partial(_table, plan, contenders)
    request: list[Any] = [asdict(session.rule), data, split, threads, str(classes), list(map(str, contenders))]
    request += [[group.name, list(group.makers)] for group in groups]
    request += [
        asdict(own),
        weights and weights.key(),
        str(path_of(checkpoint)),
        0 if dataset is None else len(dataset),
    ]
    return _run(session, groups, request, document, resume, observer)


def _of_files(
    session: BenchmarkSession, sources: Sequence[ArtifactLike], runners: Sequence[str], observer: Observer
) -> BenchmarkResult:
    from rtseg.pipeline.benchmark_groups import group_of_files

    group, skipped = group_of_files(sources, runners, observer)
    result = _run(session, [group], None, lambda rows: {"skipped": skipped}, False, observer)
    if all(row["summary"] is None for row in result.rows):
        raise session.errors[0] if session.errors else RunnerError(result.rows[0]["reason"])
    return result


def _run(
    session: BenchmarkSession,
    groups: Sequence[Group],
    request: object,
    document: Callable[[Sequence[Row]], Mapping[str, Any]],
    resume: bool,
    observer: Observer,
) -> BenchmarkResult:
    """Run the groups and return the result; document returns the facts that go with the rows."""
    from rtseg.benchmarking.groups import run_groups

    machine = {name: session.environment[name] for name in ("cpu", "tools", "checkout")}
    machine["gpus"] = [gpu["name"] for gpu in session.environment["gpus"]]
    try:
        run_groups(session, groups, [request, machine], resume=resume, observer=observer)
    except KeyboardInterrupt as interrupt:
        result = BenchmarkResult({**document(session.rows), **session.result()})
        raise BenchmarkInterrupted(result, resumable=len(groups) > 1) from interrupt
    return BenchmarkResult({**document(session.rows), **session.result()})


def _nothing_more(rows: Sequence[Row]) -> Mapping[str, Any]:
    return {}


def _plan(
    table_id: str, classes: Classes | None, size: Resolution | None, dataset: LabelledDataset | None
) -> TablePlan:
    """Return the plan of the table. Raises SpecError if the data have other classes."""
    from rtseg.benchmarking.paper_table import classes_of as classes_of_table
    from rtseg.benchmarking.paper_table import plan_table, speed_table
    from rtseg.pipeline.benchmark_groups import require_classes_of

    table = speed_table(table_id)
    chosen = classes_of_table(table) if classes is None else classes_of(classes)
    if dataset is not None:
        require_classes_of(dataset.classes, chosen, f"table {table_id} has", "benchmark the networks with --classes")
    return plan_table(table, chosen, size)


def _require_labels(dataset: LabelledDataset, observer: Observer) -> None:
    """Raise DatasetError if the data hold no labelled pixel: then no row would have an mIoU.

    Pictures that cannot be read, and labels out of range, are reported when accuracy is measured, and cost only that.
    """
    from rtseg.datasets.labelled import any_labelled, nothing_labelled

    try:
        found = any_labelled(dataset, observer=observer)
    except InputError:
        return
    if not found:
        raise nothing_labelled(dataset, len(dataset))


def _table(plan: TablePlan, contenders: Sequence[Contender], rows: Sequence[Row]) -> Mapping[str, Any]:
    from rtseg.benchmarking.paper_table import table_document
    from rtseg.pipeline.benchmark_groups import places_of_table

    places = places_of_table(plan, len(contenders))[: len(rows)]
    named = [{"runner": one.runner, "precision": one.precision} for one in contenders]
    return table_document(plan, named, {place: number for number, place in enumerate(places)}, rows)
