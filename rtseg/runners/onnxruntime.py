"""Run an ONNX file with ONNX Runtime."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import platform
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtseg.artifacts.files import PathLike
from rtseg.errors import MissingDependencyError, RunnerError, first_line
from rtseg.frame.protocol import Array, Runner, Step, TensorSpec
from rtseg.runners.onnxruntime_package import onnxruntime_package

if TYPE_CHECKING:
    import onnxruntime as ort

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
_MORE_INT8 = ["WeightBiasQuantization"]
"""ONNX Runtime's option to quantize weights that the file keeps in floating point; off, so that the file is run as it
is."""
_SILENT, _WARNING = 4, 2
"""ONNX Runtime's log severities: "fatal", because its errors are also raised as exceptions, and its default."""
_BACKENDS = {"CUDAExecutionProvider": "onnxruntime-cuda", "TensorrtExecutionProvider": "onnxruntime-tensorrt"}
_PROVIDERS = {"TensorrtExecutionProvider": ["TensorrtExecutionProvider", "CUDAExecutionProvider"]}

_LOADING = threading.Lock()
"""Standard output is redirected for the whole process, so only one thread at a time may do it."""


class OnnxRuntimeRunner(Runner):
    """A session with one provider, by default the CPU. threads 0 means all cores.

    onnxruntime-gpu lists its CUDA and TensorRT providers on every machine and silently falls back to the CPU, so the
    runner opens a session and checks which provider it uses. With the TensorRT provider, CUDA runs what TensorRT does
    not support. Without optimized, each operator runs by itself as the file has it: slower, but exact for INT8. Fused
    operators compute in INT8, and their sums saturate on some processors.
    """

    def __init__(
        self, path: PathLike, *, threads: int = 0, provider: str = "CPUExecutionProvider", optimized: bool = True
    ) -> None:
        super().__init__()
        self._optimized = optimized
        self._path = Path(path)
        self._threads = threads
        self._provider = provider
        self._session: ort.InferenceSession | None = None
        self.backend = _BACKENDS.get(provider, "onnxruntime")
        self.device = _device_name(provider, threads)

    @property
    def input(self) -> TensorSpec:
        """The graph's input. Valid while open."""
        return self._input

    @property
    def output(self) -> TensorSpec:
        """The graph's output. Valid while open."""
        return self._output

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata properties written into the ONNX file."""
        return dict(self._live().get_modelmeta().custom_metadata_map)

    def _load(self) -> None:
        ort = onnxruntime_package()
        if self._provider not in ort.get_available_providers():
            raise RunnerError(
                "the ONNX Runtime installed here lacks a provider",
                got=", ".join(ort.get_available_providers()),
                expected=self._provider,
                hint="run pip uninstall onnxruntime, then pip install 'rtseg[gpu]'"
                if self._provider in _BACKENDS
                else "",
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = _SILENT
        if not self._optimized:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Without this its threads spin for milliseconds after a run, on cores that the tail needs next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        ort.set_default_logger_severity(_SILENT)  # our error says why a provider cannot start
        try:
            with _LOADING, contextlib.redirect_stdout(io.StringIO()):  # it prints its fallback to the CPU
                session = ort.InferenceSession(
                    str(self._path),
                    options,
                    providers=_PROVIDERS.get(self._provider, [self._provider]),
                    disabled_optimizers=_MORE_INT8,
                )
        except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
            raise RunnerError(f"ONNX Runtime cannot load {self._path}: {first_line(error)}") from error
        finally:
            ort.set_default_logger_severity(_WARNING)
        if self._provider not in session.get_providers():
            raise RunnerError(
                f"{self._provider} did not start",
                got=_why_not_loaded(self._provider, Path(ort.__file__).parent) or "no reason, and a session on the CPU",
                expected="its libraries and a GPU",
                hint="install the CUDA and TensorRT that this onnxruntime-gpu needs, or use --runner onnxruntime",
            )
        if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
            raise RunnerError(
                f"{self._path} has another number of inputs and outputs",
                got=f"{len(session.get_inputs())} and {len(session.get_outputs())}",
                expected="1 and 1",
            )
        self._input = _tensor_spec(session.get_inputs()[0])
        self._output = _tensor_spec(session.get_outputs()[0])
        self._session = session

    def _free(self) -> None:
        self._session = None

    def _infer(self, array: Array) -> Array:
        try:
            return self._live().run([self._output.name], {self._input.name: array})[0]  # type: ignore[no-any-return]
        except Exception as error:
            raise RunnerError(f"ONNX Runtime failed on {self._path}: {first_line(error)}") from error

    def _bind(self, array: Array) -> Step:
        return _BoundSession(self._live(), self._input, self._output, array)

    def bind_resident(self, array: Array) -> _DeviceSession:
        """Return a step on a copy of array on the provider's device; its output is an OrtValue there."""
        self._require(array)
        device = "cuda" if self._provider in _BACKENDS else "cpu"
        return _DeviceSession(self._live(), self._input, self._output, array, device)

    def _live(self) -> ort.InferenceSession:
        if self._session is None:
            raise RunnerError(f"the {self.backend} runner is not open", hint="open it first: with runner: ...")
        return self._session


class _BoundSession(Step):
    """A session that reads and writes buffers in place, so that timing it includes no copies."""

    def __init__(self, session: ort.InferenceSession, source: TensorSpec, result: TensorSpec, array: Array) -> None:
        self.input = np.array(array, order="C")
        self.output = np.empty(result.shape, result.dtype)
        self._session = session
        self._binding = session.io_binding()
        self._binding.bind_input(source.name, "cpu", 0, self.input.dtype, self.input.shape, self.input.ctypes.data)
        self._binding.bind_output(result.name, "cpu", 0, self.output.dtype, self.output.shape, self.output.ctypes.data)

    def __call__(self) -> None:
        self._session.run_with_iobinding(self._binding)


class _DeviceSession:
    """A session that reads and writes memory of a device, so that timing it includes no copies to the host."""

    def __init__(
        self, session: ort.InferenceSession, source: TensorSpec, result: TensorSpec, array: Array, device: str
    ) -> None:
        ort = onnxruntime_package()
        self.output = ort.OrtValue.ortvalue_from_shape_and_type(result.shape, np.dtype(result.dtype), device, 0)
        self._input = ort.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), device, 0)  # shared on the CPU
        self._session = session
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(source.name, self._input)
        self._binding.bind_ortvalue_output(result.name, self.output)

    def __call__(self) -> None:
        """Run the graph once and wait for it."""
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()


def _tensor_spec(node: ort.NodeArg) -> TensorSpec:
    if node.type not in _DTYPES or not all(isinstance(side, int) for side in node.shape):
        raise RunnerError(
            f"the tensor {node.name} is not a static float or uint8 tensor",
            got=f"{node.type} {node.shape}",
            expected="static",
        )
    return TensorSpec(node.name, tuple(node.shape), _DTYPES[node.type])


def _device_name(provider: str, threads: int) -> str:
    if provider == "CPUExecutionProvider":
        return f"CPU ({platform.machine()}, {threads or os.cpu_count()} threads)"
    return f"GPU ({provider.replace('ExecutionProvider', '')})"


def _why_not_loaded(provider: str, package: Path) -> str:
    """Return the loader's error if a provider's library lacks another library; empty if it loads."""
    name = provider.removesuffix("ExecutionProvider").lower()
    for library in (package / "capi").glob(f"*onnxruntime_providers_{name}.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return first_line(error)
    return ""


class InMemoryModel:
    """A graph in memory, run on the CPU without fusions; any number of inputs and outputs."""

    def __init__(self, model: bytes, label: str) -> None:
        """Load the serialised graph; label names it in errors. Raises MissingDependencyError and RunnerError."""
        ort = onnxruntime_package()
        options = ort.SessionOptions()
        options.log_severity_level = _SILENT
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._label = label
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise RunnerError(f"ONNX Runtime cannot load {label}: {first_line(error)}") from error

    def run(self, names: list[str] | None = None, given: Mapping[str, Array] | None = None) -> list[Any]:
        """Return the named outputs, by default all, for inputs given by name. Raises RunnerError."""
        try:
            return list(self._session.run(names, dict(given or {})))
        except Exception as error:
            raise RunnerError(f"ONNX Runtime failed on {self._label}: {first_line(error)}") from error


def has_provider(name: str) -> bool:
    """Return whether the installed ONNX Runtime lists the provider. The provider may still fail to start."""
    try:
        return name in onnxruntime_package().get_available_providers()
    except (MissingDependencyError, RunnerError):
        return False
