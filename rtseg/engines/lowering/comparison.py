"""Whether a lowered graph computes what its file says: it is valid ONNX, and ONNX Runtime gives the same with both."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from rtseg.engines.lowering.lower import Lowered
from rtseg.errors import OnnxError, first_line
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.reference_check import differences_from_onnxruntime

Array = NDArray[Any]

FLOORS = {"fp32": 1e-3, "fp16": 0.25, "int8": 0.25}
"""Distances that the precision explains. INT8 goes with FP16, whose rounding moves values over the middle of a step."""


def compared_with_file(lowered: Lowered, path: Path) -> tuple[str, ...]:
    """Return what the comparison of a lowered graph with the file at path leaves open, in words.

    Nothing is left open where both agree, and where the graph is the file's own. Raises OnnxError for a graph that is
    not valid, and RunnerError for one that computes something else.
    """
    if lowered.sha256 == lowered.source_sha256:
        return ()
    try:
        onnx.checker.check_model(lowered.model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OnnxError(f"the graph of {path} lowered for {lowered.form} is not valid: {first_line(error)}") from error
    with tempfile.TemporaryDirectory(prefix="rtseg-") as folder:
        file = Path(folder) / "lowered.onnx"
        file.write_bytes(lowered.model.SerializeToString())
        candidate = OnnxRuntimeRunner(file, optimized=False)

        def infer(array: Array) -> Array:
            candidate.open()
            return candidate.infer(array.astype(candidate.input.dtype))

        try:
            told = differences_from_onnxruntime(
                path,
                infer,
                f"the graph for TensorRT ({lowered.form})",
                {"lowered": lowered.sha256},
                floor=FLOORS[lowered.precision],
                may_overflow=lowered.precision != "fp32",
                hint="another --precision, and a report of both graphs (--keep-graph)",
            )
        finally:
            candidate.close()
    return (told,) if told else ()
