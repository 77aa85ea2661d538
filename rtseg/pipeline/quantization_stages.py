"""Quantize an FP32 ONNX file to INT8 or FP16, and measure what each block of a network loses in INT8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.details import QuantizationDetails
from rtseg.artifacts.files import PathLike, require_writable, sha256_of
from rtseg.artifacts.manifest import manifest_path, require_separate
from rtseg.errors import QuantizationError, UnknownNameError
from rtseg.frame.workspaces import require_threads
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import listed, require_at_least
from rtseg.pipeline.calibration_stage import CalibrationResult
from rtseg.pipeline.packages import needed_for
from rtseg.pipeline.results import Result
from rtseg.runners.registry import DEFAULT_RUNNERS
from rtseg.specs import TARGETS

if TYPE_CHECKING:
    from rtseg.calibration.table import CalibrationTable
    from rtseg.quantization.block_losses import Sensitivity
    from rtseg.quantization.budget import BlockChoice
    from rtseg.quantization.census import Census
    from rtseg.quantization.files import Original

Table = Union[CalibrationResult, PathLike]
"""A calibration result, or the path of a calibration table."""

PURPOSE = "quantizing"


@dataclass(frozen=True, repr=False)
class QuantizationResult(Result):
    """The quantized file, the census of its operators, and the blocks kept in floating point for max_drop, if given."""

    artifact: Artifact
    census: Census
    budget: Mapping[str, Any] | None

    def _document(self) -> Mapping[str, Any]:
        """Return path and manifest, which holds the census and the budget."""
        return self.artifact.to_json()


@dataclass(frozen=True, repr=False)
class SensitivityResult(Result):
    """The loss of each block of an ONNX file when only that block is INT8, worst first."""

    artifact: Artifact
    sensitivity: Sensitivity
    data: str
    split: str | None
    runner: str
    device: str

    def _document(self) -> Mapping[str, Any]:
        """Return plain values: the blocks with their losses, and the loss with all of them in INT8."""
        return {
            "artifact": str(self.artifact.path),
            "network": self.artifact.manifest.network,
            "resolution": str(self.artifact.manifest.image.resolution),
            "data": self.data,
            "split": self.split,
            "runner": self.runner,
            "device": self.device,
            **self.sensitivity.to_json(),
        }


def quantize(
    source: ArtifactLike,
    table: Table | None = None,
    output: PathLike | None = None,
    *,
    to: str = "int8",
    target: str = "tensorrt",
    exclude: Sequence[str] | str = (),
    max_drop: float | None = None,
    data: str | None = None,
    split: str = "val",
    limit: int | None = None,
    runner: str = DEFAULT_RUNNERS["onnx"],
    threads: int = 0,
    observer: Observer = SILENT,
) -> QuantizationResult:
    """Write an FP32 ONNX file as INT8 or FP16, explicit in the graph, after ONNX Runtime has checked it.

    INT8 needs a table; FP16 can use one to find what would overflow. target is the runtime that will run the INT8 file:
    "tensorrt", "onnxruntime" or "openvino". exclude are names or shell patterns of operators and modules that stay in
    floating point. With max_drop, points of mIoU, the drop from FP32 is measured on data (the first `limit` pictures of
    split, with runner). If it is larger, the cheapest set of blocks that meets the limit stays in floating point.
    output is by default NAME.int8.onnx, NAME.int8-TARGET.onnx or NAME.fp16.onnx beside source.

    Raises MissingDependencyError, ManifestError, OnnxError, CalibrationError for a table of another graph,
    QuantizationError if nothing would change or a pattern matches nothing, AccuracyLossError if no set of blocks meets
    max_drop, DatasetError, RunnerError and WriteError.
    """
    with needed_for(PURPOSE):
        from rtseg.quantization.exclusion import matching_operators
        from rtseg.quantization.files import default_name, int8_graph, read_original, write_derived

    _require_coherent(to, target, table, max_drop, data)
    require_at_least(1, limit=limit)
    require_threads(threads)
    original = read_original(source)
    ranges = None if table is None else _ranges(table, original)
    excluded = matching_operators(original.view, listed(exclude))
    path = Path(output) if output is not None else default_name(original, to, target)
    for written in (path, manifest_path(path)):
        require_separate(written, _path(table))
    require_writable(path, manifest_path(path))
    budget: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    if to == "fp16":
        model, census, account = _fp16(original, ranges, excluded)
        notes = (account,)
    else:
        assert ranges is not None
        left_out = excluded
        if max_drop is not None and data is not None:
            settings: dict[str, Any] = {"target": target, "runner": runner, "limit": limit, "threads": threads}
            choice = _within_budget(original, ranges, max_drop, data, split, excluded, settings, observer)
            what = {"max_drop_points": max_drop, "data": data.partition(":")[0], "split": split, "runner": runner}
            budget = {**what, **choice.to_json()}
            left_out = excluded | choice.operators
        model, census = int8_graph(original, ranges, target=target, excluded=left_out)
    details = QuantizationDetails(
        target=target,
        table=None if ranges is None else _table_facts(table, ranges),
        excluded=tuple(sorted(excluded)),
        budget=budget,
        notes=notes,
        census=census.to_json(),
    )
    artifact = write_derived(original, model, path, precision=to, details=details)
    return QuantizationResult(artifact, census, budget)


def sensitivity(
    source: ArtifactLike,
    table: Table,
    data: str,
    *,
    split: str = "val",
    limit: int | None = None,
    target: str = "tensorrt",
    blocks: int = 20,
    exclude: Sequence[str] | str = (),
    runner: str = DEFAULT_RUNNERS["onnx"],
    threads: int = 0,
    observer: Observer = SILENT,
) -> SensitivityResult:
    """Measure the loss of each block when only that block is INT8, against FP32 on the same pictures.

    Blocks are modules, at least `blocks` of them. The loss is in points of mIoU or, without labels ("images:DIR"), the
    share of pixels that change. The other arguments are those of `quantize`.

    Raises what `quantize` raises, except AccuracyLossError and WriteError.
    """
    with needed_for(PURPOSE):
        from rtseg.quantization.block_losses import analyse
        from rtseg.quantization.exclusion import matching_operators
        from rtseg.quantization.files import read_original
        from rtseg.quantization.trials import Trials
    from rtseg.datasets.registry import is_labelled, open_dataset, open_pictures

    require_at_least(1, limit=limit, blocks=blocks)
    require_threads(threads)
    original = read_original(source)
    ranges = _ranges(table, original)
    excluded = matching_operators(original.view, listed(exclude))
    labelled = is_labelled(data)
    pictures = open_dataset(data, split, observer) if labelled else open_pictures(data, split, observer)
    settings: dict[str, Any] = {"target": target, "runner": runner, "limit": limit, "threads": threads}
    trials = Trials(original, ranges, pictures, excluded=excluded, observer=observer, **settings)
    result = analyse(trials, count=blocks, observer=observer)
    name, part = data.partition(":")[0], split if labelled else None
    return SensitivityResult(original.artifact, result, name, part, runner, trials.device)


def _require_coherent(to: str, target: str, table: Table | None, max_drop: float | None, data: str | None) -> None:
    for kind, value, choices in (("precision", to, ("int8", "fp16")), ("target", target, TARGETS)):
        if value not in choices:
            raise UnknownNameError(kind, value, choices)
    if to == "int8" and table is None:
        raise QuantizationError("INT8 needs a calibration table", hint="run rtseg calibrate, or quantize to fp16")
    if max_drop is not None and (to != "int8" or data is None):
        raise QuantizationError("max_drop decides what stays out of INT8", expected="int8, and data to measure it on")


def _ranges(table: Table, original: Original) -> CalibrationTable:
    from rtseg.quantization.files import read_table, require_table_of

    if isinstance(table, CalibrationResult):
        require_table_of(table.table, original)
        return table.table
    return read_table(table, original)


def _path(table: Table | None) -> PathLike | None:
    return table.path if isinstance(table, CalibrationResult) else table


def _table_facts(table: Table | None, ranges: CalibrationTable) -> dict[str, Any]:
    from rtseg.quantization.files import table_facts

    digest = table.sha256 if isinstance(table, CalibrationResult) else None if table is None else sha256_of(table)
    return table_facts(digest, ranges)


def _fp16(original: Original, ranges: CalibrationTable | None, excluded: frozenset[str]) -> tuple[Any, Census, str]:
    """Return the typed graph, its census, and its account; operators that would overflow by the ranges stay FP32."""
    from rtseg.quantization.census import census_of
    from rtseg.quantization.fp16 import to_fp16

    greatest = None if ranges is None else ranges.greatest_magnitudes()
    made = to_fp16(original.model, keep=excluded, ranges=greatest)
    return made.model, census_of(made.model), made.account()


def _within_budget(
    original: Original,
    ranges: CalibrationTable,
    max_drop: float,
    data: str,
    split: str,
    excluded: frozenset[str],
    settings: Mapping[str, Any],
    observer: Observer,
) -> BlockChoice:
    from rtseg.datasets.registry import open_dataset
    from rtseg.quantization.budget import within_budget
    from rtseg.quantization.trials import Trials

    pictures = open_dataset(data, split, observer)
    trials = Trials(original, ranges, pictures, excluded=excluded, observer=observer, **settings)
    return within_budget(trials, max_drop, observer=observer)
