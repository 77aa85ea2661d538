"""Registry of the runners for files, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import QuantizationDetails
from rtseg.artifacts.manifest import Manifest
from rtseg.errors import RunnerError, UnknownNameError
from rtseg.frame.protocol import Runner
from rtseg.runners.openvino_package import OPENVINO
from rtseg.runners.tensorrt.module import RTX
from rtseg.runners.tensorrt.preflight import runtime_of


def _onnxruntime(graph: Artifact, threads: int) -> Runner:
    from rtseg.runners.onnxruntime import OnnxRuntimeRunner

    runner = OnnxRuntimeRunner(graph.path, threads=threads)
    runner.notes = tuple(filter(None, [_note_on_placement(graph.manifest)]))
    return runner


def _note_on_placement(manifest: Manifest) -> str:
    """Return the advice for an INT8 file placed for TensorRT: ONNX Runtime's CPU kernels fuse little of it."""
    details = manifest.details
    if manifest.precision != "int8" or not isinstance(details, QuantizationDetails) or details.target != "tensorrt":
        return ""
    return (
        "its INT8 is placed for tensorrt and may run slower than FP32 with onnxruntime: "
        "rtseg quantize --target onnxruntime makes a file for it, --runner openvino runs this one"
    )


def _onnxruntime_cuda(graph: Artifact, threads: int) -> Runner:
    from rtseg.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(graph.path, threads=threads, provider="CUDAExecutionProvider")


def _onnxruntime_tensorrt(graph: Artifact, threads: int) -> Runner:
    from rtseg.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(graph.path, threads=threads, provider="TensorrtExecutionProvider")


def _openvino(model: Artifact, threads: int) -> Runner:
    from rtseg.runners.openvino import OpenVinoRunner

    return OpenVinoRunner(model, threads=threads)


def _openvino_bf16(model: Artifact, threads: int) -> Runner:
    from rtseg.runners.openvino import OpenVinoRunner

    return OpenVinoRunner(model, threads=threads, precision="bf16")


def _tensorrt(engine: Artifact, threads: int) -> Runner:
    from rtseg.runners.tensorrt.runner import TensorRtRunner

    return TensorRtRunner(engine)


def _tensorrt_pycuda(engine: Artifact, threads: int) -> Runner:
    from rtseg.runners.tensorrt.runner import TensorRtRunner

    return TensorRtRunner(engine, cuda="pycuda")


def _tensorrt_rtx(engine: Artifact, threads: int) -> Runner:
    from rtseg.runners.tensorrt.runner import TensorRtRunner

    return TensorRtRunner(engine, runtime=RTX)


@dataclass(frozen=True)
class _Entry:
    """The kinds of artifact that a runner accepts, and its constructor from an artifact and a thread count."""

    kinds: tuple[str, ...]
    make: Callable[[Artifact, int], Runner]


_RUNNERS = {
    "onnxruntime": _Entry(("onnx",), _onnxruntime),
    "onnxruntime-cuda": _Entry(("onnx",), _onnxruntime_cuda),
    "onnxruntime-tensorrt": _Entry(("onnx",), _onnxruntime_tensorrt),
    "openvino": _Entry(("onnx", OPENVINO), _openvino),
    "openvino-bf16": _Entry(("onnx", OPENVINO), _openvino_bf16),
    "tensorrt": _Entry(("engine",), _tensorrt),
    "tensorrt-pycuda": _Entry(("engine",), _tensorrt_pycuda),
    "tensorrt-rtx": _Entry(("engine",), _tensorrt_rtx),
}

DEFAULT_RUNNERS = {"onnx": "onnxruntime", "engine": "tensorrt", OPENVINO: "openvino"}
"""The default runner for each kind of artifact. ONNX Runtime is the reference: it computes what the file says."""

RUNNABLE = tuple(DEFAULT_RUNNERS)
"""The kinds of artifact that some runner here accepts."""


def runner_names(kind: str | None = None) -> tuple[str, ...]:
    """Return the names that file_runner accepts; if a kind of artifact is given, only those for it."""
    return tuple(name for name, entry in _RUNNERS.items() if kind is None or kind in entry.kinds)


def default_runner(manifest: Manifest) -> str:
    """Return the default runner's name for an artifact; for an engine, the product that built it."""
    if manifest.kind == "engine" and runtime_of(manifest) == RTX:
        return RTX
    return DEFAULT_RUNNERS[manifest.kind]


def file_runner(name: str | None, artifact: Artifact, *, threads: int = 0) -> Runner:
    """Return a runner for an artifact, not yet open; without a name, the default of its kind.

    Raises UnknownNameError, and RunnerError for a runner of other kinds.
    """
    kind = artifact.manifest.kind
    name = DEFAULT_RUNNERS[kind] if name is None else name
    if name not in _RUNNERS:
        raise UnknownNameError("runner", name, _RUNNERS)
    entry = _RUNNERS[name]
    if kind not in entry.kinds:
        raise RunnerError(
            f"{name} does not run {artifact.path}",
            got=f"a file of kind {kind}",
            expected=f"one of kind {' or '.join(entry.kinds)}",
            hint=f"use --runner {' or '.join(runner_names(kind))}",
        )
    return entry.make(artifact, threads)
