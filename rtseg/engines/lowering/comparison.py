"""Whether a lowered graph computes what its file says: it is valid ONNX, and ONNX Runtime gives the same with both."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from rtseg.engines.lowering.lower import Lowered
from rtseg.errors import OnnxError, first_line
from rtseg.graphs.identity import model_sha256
from rtseg.quantization.fp16 import is_fp16, is_quantized
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.reference_check import differences_from_onnxruntime

Array = NDArray[Any]

FLOORS = {"fp32": 1e-3, "fp16": 0.25, "int8": 0.25}
"""Distances that the precision explains. INT8 goes with FP16, whose rounding moves values over the middle of a step."""


def compared_with_file(lowered: Lowered, path: Path, *, rewritten: onnx.ModelProto | None = None) -> tuple[str, ...]:
    """Return sentences about what the comparison of a lowered graph with the file at path leaves open.

    Nothing is left open where both agree, and where the graph is the file's own. rewritten is the graph between the
    two, in the file's types: what its passes change is compared by the floor of those types. Raises OnnxError for a
    graph that is not valid, and RunnerError for one that computes something else.
    """
    if lowered.sha256 == lowered.source_sha256:
        return ()
    if rewritten is not None:
        types = "int8" if is_quantized(rewritten) else "fp16" if is_fp16(rewritten) else "fp32"
        left = _compared(rewritten, model_sha256(rewritten), types, path, "the graph after its passes")
        if left:
            return left
    words = f"the graph for TensorRT ({lowered.form})"
    return _compared(lowered.model, lowered.sha256, lowered.precision, path, words)


def _compared(model: onnx.ModelProto, sha256: str, precision: str, path: Path, words: str) -> tuple[str, ...]:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OnnxError(f"{words}, made of {path}, is not valid: {first_line(error)}") from error
    with tempfile.TemporaryDirectory(prefix="rtseg-") as folder:
        file = Path(folder) / "lowered.onnx"
        file.write_bytes(model.SerializeToString())
        candidate = OnnxRuntimeRunner(file, optimized=False)

        def infer(array: Array) -> Array:
            candidate.open()
            return candidate.infer(array.astype(candidate.input.dtype))

        try:
            told = differences_from_onnxruntime(
                path,
                infer,
                words,
                {"lowered": sha256},
                floor=FLOORS[precision],
                may_overflow=precision != "fp32",
                hint="another --precision or --no-rewrite, and a report of both graphs (--keep-graph)",
            )
        finally:
            candidate.close()
    return (told,) if told else ()
