"""The probe graph, written here and run by ONNX Runtime: its labels are the reference for engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtseg.errors import RunnerError
from rtseg.frame.protocol import Pixels
from rtseg.frame.segmenter import Segmenter
from rtseg.installation.chain import NotTriedError, Step
from rtseg.installation.device_steps import DRIVER
from rtseg.installation.probe import IMAGE, probe_picture, write_probe_graph
from rtseg.runners.loading import load
from rtseg.runners.onnxruntime_package import onnxruntime_package

GRAPH, ONNXRUNTIME, ONNXRUNTIME_CUDA = "graph written", "onnxruntime run", "onnxruntime-cuda run"

LEAST_AGREEMENT = 0.99
"""The fraction of pixels that must get the same label. In the rest rounding decides between close scores."""


class GraphTrial:
    """The graph's file, and ONNX Runtime's labels for the picture; each is set once its step has worked."""

    path: Path
    labels: Pixels

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.picture = probe_picture()

    def steps(self) -> tuple[Step, ...]:
        """Return the steps, in order."""
        return (
            Step(GRAPH, self._write, lacking="no graph"),
            Step(ONNXRUNTIME, self._run, needs=("onnxruntime", GRAPH), lacking="no labels from ONNX Runtime"),
            Step(ONNXRUNTIME_CUDA, self._run_on_the_gpu, needs=("onnxruntime", DRIVER, ONNXRUNTIME)),
        )

    def compare(self, segmenter: Segmenter) -> str:
        """Return a text with the fraction of pixels whose labels equal those of ONNX Runtime on the CPU.

        Raises RunnerError if there are too few.
        """
        share = float(np.mean(segmenter(self.picture) == self.labels))
        if share < LEAST_AGREEMENT:
            raise RunnerError(
                "the labels differ from ONNX Runtime's",
                got=f"{share:.2%} of the pixels equal",
                expected=f"{LEAST_AGREEMENT:.0%} or more",
                hint="run rtseg bench and rtseg validate with your own network, and report both",
            )
        return f"{share:.2%} of the pixels get the same label as from ONNX Runtime"

    def _write(self) -> str:
        self.path = write_probe_graph(self._folder / "doctor.onnx")
        return f"three convolutions at {IMAGE.resolution}, opset 17"

    def _run(self) -> str:
        with load(self.path) as segmenter:
            self.labels = segmenter(self.picture)
        height, width = self.labels.shape
        return f"a {height}x{width} picture labelled on the CPU, {len(np.unique(self.labels))} classes in it"

    def _run_on_the_gpu(self) -> str:
        if "CUDAExecutionProvider" not in onnxruntime_package().get_available_providers():
            mend = "run pip uninstall onnxruntime, then pip install 'rtseg[gpu]'"
            raise NotTriedError("this onnxruntime has no CUDA provider", mend)
        with load(self.path, runner="onnxruntime-cuda") as segmenter:
            return self.compare(segmenter)
