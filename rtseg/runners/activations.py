"""Run an ONNX graph part by part with ONNX Runtime, and yield its intermediate tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtseg.errors import RunnerError, first_line
from rtseg.frame.protocol import Array, TensorSpec
from rtseg.runners.onnxruntime_package import onnxruntime_package

_ALIGNMENT = 4096
"""In bytes; each tensor begins on its own page."""
_SILENT = 4
"""ONNX Runtime's log severity "fatal": its errors are also raised as exceptions."""


@dataclass(frozen=True)
class Stretch:
    """A part of a graph as its own model: its input tensors, its output tensors, and which of these to observe.

    Its inputs are the graph's input or outputs of earlier stretches, so all stretches together compute each node once.
    """

    model: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    observed: tuple[str, ...]


class ActivationRunner:
    """Runs the stretches of a graph, in order, on buffers that are made once.

    Tensors that are not alive at the same time share memory; `held_bytes` is the size of all of it. Nodes run unfused,
    as the file has them, so that a value does not depend on where the graph was cut. Use it from one thread at a time.
    threads limits the cores used; 0 means all. Raises RunnerError and MissingDependencyError.
    """

    def __init__(self, source: TensorSpec, stretches: Sequence[Stretch], *, threads: int = 0) -> None:
        self._stretches = tuple(stretches)
        self._source = np.empty(source.shape, source.dtype)
        offsets, self.held_bytes = _placed(self._stretches)
        pool = np.empty(self.held_bytes, np.uint8)
        self._tensors: dict[str, Array] = {source.name: self._source}
        for stretch in self._stretches:
            for tensor in stretch.outputs:
                place = slice(offsets[tensor.name], offsets[tensor.name] + _bytes_of(tensor))
                self._tensors[tensor.name] = pool[place].view(tensor.dtype).reshape(tensor.shape)
        self._runs = [_bound(stretch, self._tensors, threads) for stretch in self._stretches]

    def __call__(self, array: Array) -> Iterator[tuple[str, Array]]:
        """Yield name and value of every observed tensor for that input, in computing order.

        A value is a view of a shared buffer, valid until the next one is requested. Raises RunnerError for an input of
        another shape or dtype.
        """
        if array.shape != self._source.shape or array.dtype != self._source.dtype:
            raise RunnerError(
                "the input does not fit",
                got=f"{array.dtype} {array.shape}",
                expected=f"{self._source.dtype} {self._source.shape}",
            )
        self._source[...] = array
        for stretch, (session, binding) in zip(self._stretches, self._runs):
            try:
                session.run_with_iobinding(binding)
            except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
                raise RunnerError(f"ONNX Runtime failed: {first_line(error)}") from error
            for name in stretch.observed:
                yield name, self._tensors[name]


def _bound(stretch: Stretch, tensors: Mapping[str, Array], threads: int) -> tuple[Any, Any]:
    """Return a session for the stretch and its binding to the buffers."""
    ort = onnxruntime_package()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _SILENT
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Without this its threads spin for milliseconds after a run, on cores that the counting needs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = ort.InferenceSession(stretch.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise RunnerError(f"ONNX Runtime cannot load a part of the graph: {first_line(error)}") from error
    binding = session.io_binding()
    for bind, specs in ((binding.bind_input, stretch.inputs), (binding.bind_output, stretch.outputs)):
        for spec in specs:
            array = tensors[spec.name]
            bind(spec.name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    return session, binding


def _placed(stretches: Sequence[Stretch]) -> tuple[dict[str, int], int]:
    """Return the offset of each tensor in one pool, and the size of the pool, in bytes.

    A tensor is alive from the stretch that computes it to the last that reads it. Tensors are placed largest first,
    each at the lowest offset that overlaps no tensor alive at the same time.
    """
    lives: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    for index, stretch in enumerate(stretches):
        for tensor in stretch.outputs:
            lives[tensor.name] = [index, index]
            sizes[tensor.name] = -(-_bytes_of(tensor) // _ALIGNMENT) * _ALIGNMENT
        for tensor in stretch.inputs:
            if tensor.name in lives:
                lives[tensor.name][1] = index
    offsets: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        first, last = lives[name]
        taken = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in offsets
            if lives[other][0] <= last and lives[other][1] >= first
        )
        offset = 0
        for begin, end in taken:
            if offset + sizes[name] <= begin:
                break
            offset = max(offset, end)
        offsets[name] = offset
    return offsets, max((offsets[name] + sizes[name] for name in offsets), default=0)


def _bytes_of(tensor: TensorSpec) -> int:
    return math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
