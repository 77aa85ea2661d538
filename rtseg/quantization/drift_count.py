"""Sum the errors behind a drift: each picture runs through both files, and their tensors are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Callable, NamedTuple

import numpy as np

from rtseg.graphs.view import GraphView
from rtseg.quantization.drift_graphs import CommonTensor, common_tensors, numpy_type, part
from rtseg.quantization.drift_runs import Array, FileRun, part_values

Step = Callable[[int, int], None]
"""Called with the number of tensors done for a picture and the total."""
_BLOCK = 1 << 20
"""Number of values converted to float64 at a time."""


class ErrorSum:
    """Sums of squares of a tensor's differences and of its reference's values, over all pictures, in float64."""

    def __init__(self) -> None:
        self._difference = self._reference = 0.0

    def add(self, reference: Array, other: Array) -> None:
        """Add one picture's values: two arrays of the same shape, of any types."""
        pair = np.ravel(reference), np.ravel(other)
        with np.errstate(invalid="ignore", over="ignore"):  # the error shows values that are not finite
            for begin in range(0, pair[0].size, _BLOCK):
                first, second = (values[begin : begin + _BLOCK].astype(np.float64) for values in pair)
                self._reference += float(np.dot(first, first))
                second -= first
                self._difference += float(np.dot(second, second))

    @property
    def error(self) -> float:
        """Root mean square of the difference divided by that of the reference; infinite if that is not a number."""
        if self._difference == 0:
            return 0.0
        if not math.isfinite(self._difference) or not self._reference:
            return math.inf
        return math.sqrt(self._difference / self._reference)


class Row(NamedTuple):
    """The relative errors of one tensor: the largest of its inputs, its own, and the one that its operator adds."""

    tensor: CommonTensor
    error_in: float
    error_out: float
    added: float


class OutputCount:
    """Two files whose outputs only are compared."""

    def __init__(self, runs: Sequence[FileRun]) -> None:
        self._runs = tuple(runs)
        self.output = ErrorSum()

    def add(self, tensor: Array, step: Step) -> tuple[Array, Array]:
        """Count one picture, given as the graphs' input, and return the two outputs. Raises RunnerError."""
        first, second = (run(tensor) for run in self._runs)
        self.output.add(first, second)
        step(1, 1)
        return first, second

    def rows(self) -> tuple[Row, ...]:
        """Return no rows: an engine gives no tensor but its output."""
        return ()


class LayerCount:
    """Two graphs that are computed from one common tensor to the next, each on its own values.

    In memory are the values of both graphs that a later operator reads, and those of the current operator; no weights
    and no other values. Raises OnnxError for graphs whose inputs or outputs have different names.
    """

    def __init__(self, reference: GraphView, other: GraphView, *, threads: int) -> None:
        self._reference, self._other, self._threads = reference, other, threads
        self._tensors = common_tensors(reference, other)
        self._last_read = {
            name: index
            for index, tensor in enumerate(self._tensors)
            for name in (*tensor.reference_inputs, *tensor.other_inputs)
        }
        self._out = {name: ErrorSum() for name in (reference.input, *(tensor.name for tensor in self._tensors))}
        self._added = {tensor.name: ErrorSum() for tensor in self._tensors}
        self.output = self._out[reference.output]

    def add(self, tensor: Array, step: Step) -> tuple[Array, Array]:
        """Count one picture, given as the graphs' input, and return the two outputs.

        Raises RunnerError and MissingDependencyError.
        """
        first, second = {self._reference.input: tensor}, {self._other.input: tensor}
        ends = tensor, tensor
        for index, each in enumerate(self._tensors):
            values = self._values(each, first, second)
            self._out[each.name].add(values[0], values[1])
            self._added[each.name].add(values[0], values[2])
            first[each.name], second[each.name] = values[0], values[1]
            if each.name == self._reference.output:
                ends = values[0], values[1]
            for name in [name for name in first if self._last_read.get(name, -1) <= index]:
                del first[name], second[name]
            step(index + 1, len(self._tensors))
        return ends

    def _values(self, tensor: CommonTensor, first: dict[str, Array], second: dict[str, Array]) -> list[Array]:
        """Return the tensor's value in the reference, in the other, and in the other on the reference's values."""
        given = {name: first[name] for name in tensor.reference_inputs}
        own = {name: second[name] for name in tensor.other_inputs}
        same = {name: _as_type(first[name], numpy_type(self._other, name)) for name in tensor.other_inputs}
        sides = (self._reference, tuple(given), [given]), (self._other, tuple(own), [own, same])
        return [
            value
            for view, inputs, feeds in sides
            for value in part_values(part(view, tensor.name, inputs), tensor.name, feeds, threads=self._threads)
        ]

    def rows(self) -> tuple[Row, ...]:
        """Return the errors of every tensor that both graphs hold in floating point, in computing order."""
        return tuple(
            Row(
                tensor,
                max((self._out[name].error for name in tensor.other_inputs), default=0.0),
                self._out[tensor.name].error,
                self._added[tensor.name].error,
            )
            for tensor in self._tensors
            if tensor.counted
        )


def _as_type(values: Array, dtype: np.dtype[np.generic]) -> Array:
    """Return the values in the other graph's type; a value beyond FP16 becomes its largest number.

    So an overflow shows at the operator that computes the value, not at the one that reads it.
    """
    if dtype == np.float16 and values.dtype != dtype:
        largest = np.finfo(np.float16).max
        values = np.clip(values, -largest, largest)
    return values.astype(dtype, copy=False)
