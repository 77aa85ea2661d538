"""The calibration run: takes an exported file and pictures, returns a table of ranges."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.manifest import Manifest, tool_versions
from rtseg.calibration.convergence import convergence, stages
from rtseg.calibration.histograms import HistogramSet, NotFiniteError
from rtseg.calibration.observation import BUDGET_BYTES, cut, tensor_spec
from rtseg.calibration.selection import Selection
from rtseg.calibration.state import CalibrationState, read_calibration_state, state_path, write_calibration_state
from rtseg.calibration.table import CalibrationTable, TensorRange
from rtseg.calibration.thresholds import Method, threshold
from rtseg.errors import CalibrationError, WriteError
from rtseg.frame.host_ends import HostEnds
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.identity import structure_sha256
from rtseg.graphs.view import GraphView
from rtseg.observer import SILENT, Observer
from rtseg.runners.activations import ActivationRunner

STATE_EVERY_SECONDS = 5.0


TASK = "calibrating"


def require_fp32(artifact: Artifact) -> None:
    """Raise CalibrationError unless the artifact is in FP32, the only precision whose ranges can be measured."""
    manifest = artifact.manifest
    if manifest.precision != "fp32":
        raise CalibrationError(
            f"{artifact.path} is not in FP32",
            got=manifest.precision,
            expected="the FP32 file that it was made from",
            hint="pass the FP32 file that rtseg export wrote",
        )


def measured_ranges(
    source: ArtifactLike,
    selection: Selection,
    method: Method,
    *,
    threads: int = 0,
    observer: Observer = SILENT,
    budget_bytes: int = BUDGET_BYTES,
) -> CalibrationTable:
    """Return the range of every float32 activation of an exported file on the selected pictures.

    Makes one pass over the pictures; memory depends on the graph and budget_bytes, not on the number of pictures. The
    same pictures give the same table, bit for bit, in any order. The state is saved to the cache folder every few
    seconds and when the run ends early. The same call then resumes a killed run and gives the same table; the state of
    a finished run serves every method. threads limits the cores used; 0 uses all. Raises ManifestError, OnnxError,
    CalibrationError, RunnerError and the exceptions of reading pictures.
    """
    artifact = Artifact.open(source, kind="onnx")
    require_fp32(artifact)
    manifest = artifact.manifest
    view = GraphView(read_canonical(artifact.path))
    state = _counted(view, manifest, selection, observer, threads, budget_bytes)
    parts = {**state.stages, state.done: state.histograms}
    by_stage = {pictures: _thresholds(histograms, method) for pictures, histograms in parts.items()}
    return CalibrationTable(
        network=manifest.network,
        onnx_sha256=manifest.sha256,
        structure_sha256=structure_sha256(view),
        parent_sha256=manifest.parent_sha256,
        image=manifest.image,
        method=method.name,
        percentile=method.percent,
        data=selection.data,
        split=selection.split,
        pictures=selection.digests,
        ranges=_ranges(state.histograms, by_stage[state.done]),
        convergence=convergence(by_stage),
        tools=tool_versions(),
    )


def _counted(
    view: GraphView,
    manifest: Manifest,
    selection: Selection,
    observer: Observer,
    threads: int,
    budget_bytes: int,
) -> CalibrationState:
    """Return the histograms of all pictures; those that an earlier run counted come from its state."""
    names, total = view.activations(), len(selection.chosen)
    *before, _ = stages(total)
    kept_at = state_path(manifest.sha256, [digest.sha256 for digest in selection.digests], threads)
    state = read_calibration_state(kept_at, names, before)
    if state is not None and state.done:
        observer.note(_resumed(state.done, total))
    if state is not None and state.done == total:
        return state
    run = _Run(view, manifest, names, threads, budget_bytes)
    complete = _Kept(kept_at, state or CalibrationState(0, HistogramSet(names)), observer)
    try:
        while complete.state.done < total:
            state = complete.state.copy()
            chosen = selection.chosen[state.done]
            picture = selection.source[chosen.index]
            run.count(picture.name, picture.image, state.histograms)
            state.done += 1
            if state.done in before:
                state.stages[state.done] = state.histograms.copy()
            complete.replace(state)
            observer.progress(TASK, state.done, total)
    except KeyboardInterrupt:
        complete.write()
        observer.note(f"{complete.written} of {total} pictures are counted; the same command goes on from there")
        raise
    finally:
        complete.write()
    return complete.state


def _resumed(done: int, total: int) -> str:
    if done == total:
        return f"all {total} pictures were counted by an earlier run: nothing is computed again"
    return f"going on after {done} of {total} pictures, counted by an earlier run"


class _Kept:
    """The state after the last complete picture, written to disk every few seconds.

    A picture is counted in a copy, which replaces the state once all its tensors are counted. So an interrupt at any
    moment leaves a state between two pictures.
    """

    def __init__(self, path: Path, state: CalibrationState, observer: Observer) -> None:
        self.state = state
        self.written = state.done
        self._path = path
        self._observer = observer
        self._writable = True
        self._due = time.monotonic()

    def replace(self, state: CalibrationState) -> None:
        self.state = state
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Update the file. If the folder cannot be written, the state is lost but the run continues."""
        if self.state.done == self.written or not self._writable:
            return
        try:
            write_calibration_state(self._path, self.state)
        except WriteError as error:
            self._writable = False
            self._observer.warning(f"the state cannot be saved, so a killed run will start over: {error}")
            return
        self.written = self.state.done
        self._due = time.monotonic() + STATE_EVERY_SECONDS


class _Run:
    """The graph ready to run, and the conversion of a picture into its input."""

    def __init__(
        self, view: GraphView, manifest: Manifest, names: Sequence[str], threads: int, budget_bytes: int
    ) -> None:
        computed = [name for name in names if name != view.input]
        self._input = view.input if view.input in names else None
        self._runner = ActivationRunner(
            tensor_spec(view, view.input), cut(view, computed, budget_bytes=budget_bytes), threads=threads
        )
        self._ends = HostEnds(manifest.image, manifest.output, threads)
        self._threads = threads

    def count(self, name: str, image: NDArray[np.uint8], histograms: HistogramSet) -> None:
        """Add every activation of one picture to the histograms. Raises CalibrationError if one is not finite."""
        tensor = self._ends.graph_input(image)
        try:
            if self._input is not None:
                histograms.add(self._input, tensor, threads=self._threads)
            for activation, values in self._runner(tensor):
                histograms.add(activation, values, threads=self._threads)
        except NotFiniteError as error:
            raise CalibrationError(
                f"the tensor {error} is not finite on the picture {name}",
                got="NaN or infinity",
                expected="finite values",
                hint="run rtseg validate on the file: its weights or its normalisation may be damaged",
            ) from error


def _thresholds(histograms: HistogramSet, method: Method) -> dict[str, float]:
    return {name: threshold(histograms.histogram(name), method) for name in histograms.names}


def _ranges(histograms: HistogramSet, thresholds: dict[str, float]) -> dict[str, TensorRange]:
    ranges = {}
    for name, value in thresholds.items():
        histogram = histograms.histogram(name)
        ranges[name] = TensorRange(value, histogram.minimum, histogram.maximum)
    return ranges
