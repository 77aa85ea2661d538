"""The runners that take an exported file, by name."""

from __future__ import annotations

from typing import Callable

from rtseg.artifacts import PathLike
from rtseg.errors import UnknownNameError
from rtseg.runners.protocol import Runner


def _onnxruntime(path: PathLike, threads: int) -> Runner:
    from rtseg.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(path, threads=threads)


def _onnxruntime_cuda(path: PathLike, threads: int) -> Runner:
    from rtseg.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(path, threads=threads, provider="CUDAExecutionProvider")


def _onnxruntime_tensorrt(path: PathLike, threads: int) -> Runner:
    from rtseg.runners.onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner(path, threads=threads, provider="TensorrtExecutionProvider")


def _openvino(path: PathLike, threads: int) -> Runner:
    from rtseg.runners.openvino import OpenVinoRunner

    return OpenVinoRunner(path, threads=threads)


def _openvino_bf16(path: PathLike, threads: int) -> Runner:
    from rtseg.runners.openvino import OpenVinoRunner

    return OpenVinoRunner(path, threads=threads, precision="bf16")


_RUNNERS: dict[str, Callable[[PathLike, int], Runner]] = {
    "onnxruntime": _onnxruntime,
    "onnxruntime-cuda": _onnxruntime_cuda,
    "onnxruntime-tensorrt": _onnxruntime_tensorrt,
    "openvino": _openvino,
    "openvino-bf16": _openvino_bf16,
}
DEFAULT_RUNNER = "onnxruntime"
"""The reference: what it computes is what the file says."""


def runner_names() -> tuple[str, ...]:
    """Return the names that file_runner takes."""
    return tuple(_RUNNERS)


def file_runner(name: str, path: PathLike, *, threads: int = 0) -> Runner:
    """Return a runner, not yet open, for an exported file. Raises UnknownNameError."""
    if name not in _RUNNERS:
        raise UnknownNameError("runner", name, _RUNNERS)
    return _RUNNERS[name](path, threads)
