"""Run parts of graphs and whole files with Polygraphy, which marks the outputs and returns their values.

Polygraphy's Comparator runs everything, but rtseg compares: Comparator.compare_accuracy computes the median of every
tensor for its log, which costs more than the tensor itself. The logger is silent here; errors come as exceptions.
"""

from __future__ import annotations

import contextlib
import glob
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import Manifest
from rtseg.errors import MissingDependencyError, RtsegError, RunnerError, first_line
from rtseg.runners.onnxruntime_package import onnxruntime_package, without_telemetry
from rtseg.runners.openvino_package import OPENVINO
from rtseg.runners.registry import file_runner
from rtseg.runners.tensorrt.module import RTX
from rtseg.runners.tensorrt.preflight import runtime_of

Array = NDArray[Any]

_RUNNING = threading.RLock()
"""Polygraphy has one logger per process: it is silenced for one thread at a time."""

_SILENT = 4
"""ONNX Runtime's log severity "fatal": its errors are also raised as exceptions."""


def require_polygraphy() -> None:
    """Raise MissingDependencyError if Polygraphy is not installed."""
    without_telemetry()  # for ONNX Runtime, which Polygraphy may import first
    try:
        import polygraphy  # noqa: F401

        with contextlib.suppress(ImportError):
            # Polygraphy imports this for each array, inside an `except:` that would swallow a Ctrl-C.
            import_module("torch")
    except ImportError as error:
        raise MissingDependencyError(
            "polygraphy", extra="report", purpose="comparing two files layer by layer"
        ) from error


def part_values(
    model: onnx.ModelProto, tensor: str, feeds: Sequence[Mapping[str, Array]], *, threads: int = 0
) -> list[Array]:
    """Return a tensor's value for each of the feeds, which map input names to arrays.

    ONNX Runtime computes it on the CPU, operator by operator, without fusion. It computes most FP16 operators in FP32
    and rounds the result: the values show FP16's rounding of weights and tensors, not of sums. The model's outputs are
    overwritten; threads 0 means all cores. Raises RunnerError and MissingDependencyError.
    """
    with _quiet(f"ONNX Runtime cannot compute {tensor}"):
        from polygraphy.backend.onnx import ModifyOutputs
        from polygraphy.backend.onnxrt import OnnxrtRunner

        # Polygraphy treats names as patterns; tensor names may have brackets.
        marked = ModifyOutputs(model, outputs=[glob.escape(tensor)])()
        return _outputs(OnnxrtRunner(_session(marked.SerializeToString(), threads), name="onnxruntime"), feeds)


class FileRun:
    """A whole file, run for its output: an ONNX file as part_values runs it, an engine with TensorRT on a GPU.

    An OpenVINO model runs with rtseg's runner, because Polygraphy has none. The artifact is verified. Raises
    RunnerError, and MissingDependencyError without TensorRT or OpenVINO.
    """

    def __init__(self, artifact: Artifact, *, threads: int = 0) -> None:
        path, manifest = artifact.path, artifact.manifest
        self._opened = file_runner(None, artifact, threads=threads) if manifest.kind == OPENVINO else None
        if self._opened is not None:
            self._opened.open()
        elif manifest.kind == "engine":
            self._runner = _engine_runner(path, manifest)
        else:
            with _quiet(f"ONNX Runtime cannot load {path}"):
                from polygraphy.backend.onnxrt import OnnxrtRunner

                self._runner = OnnxrtRunner(_session(path.read_bytes(), threads), name="onnxruntime")

    def __call__(self, tensor: Array) -> Array:
        """Return the output for that input, as a new array. Raises RunnerError."""
        if self._opened is not None:
            return self._opened.infer(tensor)
        with _quiet(f"{self._runner.name} failed"):
            with self._runner as runner:
                (name,) = runner.get_input_metadata(use_numpy_dtypes=False)
            return _outputs(self._runner, [{name: tensor}])[0]


def _engine_runner(path: Path, manifest: Manifest) -> Any:
    """Return Polygraphy's runner for an engine; it gives the engine's output only, no layer inside."""
    if runtime_of(manifest) == RTX:
        raise RunnerError(
            f"{path} is a TensorRT for RTX engine",
            expected="a TensorRT engine, or an ONNX file",
            hint="use rtseg validate with --against",
        )
    if find_spec("tensorrt") is None:
        raise MissingDependencyError("tensorrt", extra="gpu", purpose="running an engine")
    with _quiet(f"TensorRT cannot load {path}"):
        from polygraphy.backend.trt import EngineFromBytes, TrtRunner

        return TrtRunner(EngineFromBytes(path.read_bytes())(), name="tensorrt")


def _session(model: bytes, threads: int) -> Any:
    """Return a session for a model; Polygraphy's own loader does not limit threads and logs on standard error."""
    ort = onnxruntime_package()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _SILENT
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False  # it would take twice the memory of one operator
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _outputs(runner: Any, feeds: Sequence[Mapping[str, Array]]) -> list[Array]:
    """Return the one output for each of the feeds."""
    from polygraphy.comparator import Comparator

    values = []
    for feed in feeds:  # one at a time: with several, Polygraphy copies the outputs
        ((_, (result,)),) = Comparator.run([runner], data_loader=[dict(feed)])
        (output,) = result.values()
        values.append(np.asarray(output))
    return values


@contextlib.contextmanager
def _quiet(doing: str) -> Iterator[None]:
    """Silence Polygraphy, and turn exceptions of it and its backends into a RunnerError that says what failed."""
    require_polygraphy()
    from polygraphy.logger import G_LOGGER

    try:
        with _RUNNING, G_LOGGER.verbosity(G_LOGGER.CRITICAL + 1):
            yield
    except RtsegError:
        raise
    except Exception as error:  # ONNX Runtime's, TensorRT's and Polygraphy's exceptions share no other base class
        raise RunnerError(f"{doing}: {first_line(error)}") from error
