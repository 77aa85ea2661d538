"""Run another exporter's unchanged file with ONNX Runtime, as the reference for the canonical file."""

from __future__ import annotations

import numpy as np
import onnx

from rtseg.errors import RunnerError
from rtseg.exporting.foreign_ends import TO_FIRST, TO_LAST, ForeignEnds
from rtseg.frame.protocol import Array, Runner, Step, TensorSpec
from rtseg.runners.onnxruntime import InMemoryModel

_DTYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "float64",
}


class UntouchedFile(Runner):
    """The graph of a file, with its scores as additional outputs; nothing else in it is changed.

    Input and output are float32 NCHW for one picture, as in the canonical file. This class transposes, converts and
    repeats them as the file needs.
    """

    backend = "onnxruntime"
    device = "CPU"

    def __init__(self, model: onnx.ModelProto, ends: ForeignEnds, label: str) -> None:
        super().__init__()
        self._model, self._ends, self._label = model, ends, label
        height, width = ends.resolution.height, ends.resolution.width
        self._input = TensorSpec(ends.input, (1, 3, height, width), "float32")
        self._session: InMemoryModel | None = None
        batch = next(value for value in model.graph.input if value.name == ends.input)
        self._batch = max(1, batch.type.tensor_type.shape.dim[0].dim_value)

    @property
    def input(self) -> TensorSpec:
        """The input of the canonical file."""
        return self._input

    @property
    def output(self) -> TensorSpec:
        """The output of the canonical file."""
        return TensorSpec(self._ends.scores.tensor, self._ends.scores.shape, "float32")

    def decided(self, array: Array) -> tuple[Array, Array]:
        """Return the scores, and the labels that the file itself computes from them, uint8 (height, width)."""
        raw, given = self._run(array, [self._ends.scores.tensor, self._ends.output])
        scores = self._plain(raw)
        height, width = scores.shape[2:]
        flat = np.asarray(given).reshape(-1)  # with any axes the first picture's labels come first
        return scores, flat[: height * width].astype(np.uint8).reshape(height, width)

    def _load(self) -> None:
        copy = onnx.ModelProto()
        copy.CopyFrom(self._model)
        if self._ends.scores.tensor not in {value.name for value in copy.graph.output}:
            copy.graph.output.append(onnx.ValueInfoProto(name=self._ends.scores.tensor))
        self._session = InMemoryModel(copy.SerializeToString(), self._label)

    def _free(self) -> None:
        self._session = None

    def _infer(self, array: Array) -> Array:
        return self._plain(self._run(array, [self._ends.scores.tensor])[0])

    def _bind(self, array: Array) -> Step:
        raise RunnerError("this file is run for comparison only")

    def _run(self, array: Array, names: list[str]) -> list[Array]:
        assert self._session is not None
        given = array.transpose(TO_LAST) if self._ends.channels_last else array
        given = np.repeat(given, self._batch, axis=0).astype(_DTYPES.get(self._ends.element, "float32"))
        return self._session.run(names, {self._ends.input: np.ascontiguousarray(given)})

    def _plain(self, scores: Array) -> Array:
        first = scores[:1]
        if self._ends.scores.flat:
            first = first[:, None]
        elif self._ends.scores.channels_last:
            first = first.transpose(TO_FIRST)
        return np.ascontiguousarray(first, np.float32)
