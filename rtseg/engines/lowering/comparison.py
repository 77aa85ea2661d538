"""Check that a lowered graph computes the same as its file: it is valid ONNX, and ONNX Runtime agrees on both."""

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
"""Differences that the precision explains. INT8 comes with FP16, whose rounding can move a value to the next INT8 step.
"""


def compared_with_file(lowered: Lowered, path: Path, *, rewritten: onnx.ModelProto | None = None) -> tuple[str, ...]:
    """Return sentences about what the comparison of a lowered graph with the file at path could not check.

    The result is empty if both agree, or if the graph is the file's own. rewritten is the graph between the two, after
    graph passes, in the file's types: it is compared within the tolerance of those types. Raises OnnxError for an
    invalid graph, and RunnerError for one that computes something else.
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
            text = differences_from_onnxruntime(
                path,
                infer,
                words,
                {"lowered": sha256},
                floor=FLOORS[precision],
                may_overflow=precision != "fp32",
                hint="use another --precision or --no-rewrite, and report both graphs (--keep-graph)",
            )
        finally:
            candidate.close()
    return (text,) if text else ()
