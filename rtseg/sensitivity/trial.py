"""Try an INT8 graph: written to a temporary file, run on the pictures, held against the FP32 reference."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from rtseg.accuracy.comparison import Comparison
from rtseg.accuracy.reference_run import Pictures, ReferenceRun
from rtseg.accuracy.validation import Progress
from rtseg.calibration.table import CalibrationTable
from rtseg.graphs.view import GraphView
from rtseg.quantize.files import Original, int8_graph, write_derived
from rtseg.quantize.targets import placement_for
from rtseg.segmenter import load


class Trials:
    """INT8 graphs of one network against its FP32 file on the same pictures.

    FP32 runs once: its label maps are kept, and of every trial its comparison. A trial's file is gone when it ends.
    """

    def __init__(
        self,
        original: Original,
        table: CalibrationTable,
        pictures: Pictures,
        *,
        target: str,
        runner: str,
        excluded: Collection[str] = (),
        limit: int | None = None,
        threads: int = 0,
        progress: Progress = lambda done, total: None,
    ) -> None:
        """Run the FP32 file on the pictures. excluded are the operators that stay as they are in every trial.

        Raises what int8_graph raises, before anything is run, and what ReferenceRun raises.
        """
        self.original, self.table, self.target = original, table, target
        self.excluded = frozenset(excluded)
        self.view = GraphView(original.model)
        self._runner, self._threads = runner, threads
        self._measured: dict[tuple[str, frozenset[str]], Comparison] = {}
        int8_graph(original, table, target=target, excluded=self.excluded)
        with load(original.path, runner=runner, threads=threads) as reference:
            self.device = reference.runner.device
            self._reference = ReferenceRun(reference, pictures, limit=limit, progress=progress)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._reference)

    def measure(self, kept: Collection[str] = (), *, progress: Progress = lambda done, total: None) -> Comparison:
        """Return what INT8 costs where those operators are kept out of it, too.

        The graph is the one of int8_graph with excluded and kept together. Asked again nothing runs.
        Raises QuantizationError where nothing is left to be INT8.
        """
        return self._compared(self.target, self.excluded.union(kept), progress)

    def measure_alone(self, operators: Collection[str], *, progress: Progress = lambda done, total: None) -> Comparison:
        """Return what INT8 costs where those operators alone are INT8.

        For ONNX Runtime they are placed as for TensorRT: pairs on what they read, none on what they give. In its own
        placement what an operator gives is INT8 only where all its readers are, so none would be alone.
        """
        target = "tensorrt" if self.target == "onnxruntime" else self.target
        able = placement_for(target, self.view, self.excluded).multiplying
        return self._compared(target, self.excluded.union(able).difference(operators), progress)

    def _compared(self, target: str, left_out: frozenset[str], progress: Progress) -> Comparison:
        key = (target, left_out)
        if key not in self._measured:
            model, _ = int8_graph(self.original, self.table, target=target, excluded=left_out)
            with tempfile.TemporaryDirectory(prefix="rtseg-") as folder:
                path = Path(folder) / "trial.onnx"
                write_derived(self.original, model, path, precision="int8", details={})
                with load(path, runner=self._runner, threads=self._threads) as candidate:
                    self._measured[key] = self._reference.compare_with(candidate, progress=progress)
        return self._measured[key]
