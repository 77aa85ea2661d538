"""Try INT8 graphs: write each to a temporary file, run it on the pictures, compare it with the FP32 reference."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from rtseg.accuracy.comparison import Comparison
from rtseg.accuracy.reference_run import Pictures, ReferenceRun
from rtseg.calibration.table import CalibrationTable
from rtseg.observer import SILENT, Observer
from rtseg.quantization.files import Original, int8_graph, write_derived
from rtseg.quantization.targets import placement_for
from rtseg.runners.loading import load


class Trials:
    """Comparisons of INT8 graphs of one network with its FP32 file on the same pictures.

    FP32 runs once and its label maps are kept; so is the comparison of every trial. A trial's file is deleted at its
    end.
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
        observer: Observer = SILENT,
    ) -> None:
        """Run the FP32 file on the pictures. excluded are operators that stay unchanged in every trial.

        Raises what int8_graph raises, before anything runs, and what ReferenceRun raises.
        """
        self.original, self.table, self.target = original, table, target
        self.excluded = frozenset(excluded)
        self.view = original.view
        self._runner, self._threads = runner, threads
        self._measured: dict[tuple[str, frozenset[str]], Comparison] = {}
        int8_graph(original, table, target=target, excluded=self.excluded)
        with load(original.artifact, runner=runner, threads=threads) as reference:
            self.device = reference.runner.device
            self._reference = ReferenceRun(reference, pictures, limit=limit, observer=observer)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._reference)

    def measure(self, kept: Collection[str] = (), *, observer: Observer = SILENT) -> Comparison:
        """Return the cost of INT8 with those operators also kept out of it.

        The graph is that of int8_graph with excluded and kept together. A repeated call returns the kept result. Raises
        QuantizationError if nothing is left for INT8.
        """
        return self._compared(self.target, self.excluded.union(kept), observer)

    def measure_alone(self, operators: Collection[str], *, observer: Observer = SILENT) -> Comparison:
        """Return the cost of INT8 in those operators alone.

        For ONNX Runtime they are placed as for TensorRT: pairs on their inputs, none on their outputs. In its own
        placement an output is INT8 only if all its readers are, so no operator could be INT8 alone.
        """
        target = "tensorrt" if self.target == "onnxruntime" else self.target
        able = placement_for(target, self.view, self.excluded).multiplying
        return self._compared(target, self.excluded.union(able).difference(operators), observer)

    def _compared(self, target: str, left_out: frozenset[str], observer: Observer) -> Comparison:
        key = (target, left_out)
        if key not in self._measured:
            model, _ = int8_graph(self.original, self.table, target=target, excluded=left_out)
            with tempfile.TemporaryDirectory(prefix="rtseg-") as folder:
                path = Path(folder) / "trial.onnx"
                trial = write_derived(self.original, model, path, precision="int8")
                with load(trial, runner=self._runner, threads=self._threads) as candidate:
                    self._measured[key] = self._reference.compare_with(candidate, observer=observer)
        return self._measured[key]
