"""Run an ONNX file, or a model that OpenVINO stored, with OpenVINO on the CPU."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.files import PathLike
from rtseg.errors import RunnerError
from rtseg.frame.protocol import Array, Runner, Step, TensorSpec
from rtseg.runners.openvino_model import is_quantized, metadata_of, model_of, notes_on, onnx_model
from rtseg.runners.openvino_package import OPENVINO, core, openvino_package, openvino_refusals
from rtseg.runners.reference_check import differences_from_onnxruntime

INFERENCE_PRECISIONS = {"f32": "FP32", "bf16": "BF16"}
"""Precisions for floating-point operators, and OpenVINO's name of the processor capability that each needs."""

Source = Union[Artifact, PathLike]

_DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8"}


class OpenVinoRunner(Runner):
    """A model compiled for the CPU. threads 0 means all cores.

    The source is an ONNX file, as an artifact or a path, or an artifact with a model that OpenVINO stored, whose
    digests are compared on opening. A quantized ONNX file is compared with ONNX Runtime once; for a stored model the
    build has done that.

    Operators between QuantizeLinear and DequantizeLinear run as INT8, whether placed for TensorRT or for OpenVINO. All
    others run in `precision`: "f32", the file's own, or "bf16". By default OpenVINO would use bf16 on every processor
    that has it. FP16 files are computed in `precision` too.

    On x86 processors without VNNI the 16-bit sums of INT8 products can saturate (OpenVINO documents it): accuracy
    measured there does not predict that of TensorRT.
    """

    def __init__(self, source: Source, *, threads: int = 0, precision: str = "f32") -> None:
        super().__init__()
        if precision not in INFERENCE_PRECISIONS:
            raise RunnerError(
                "unknown precision for OpenVINO", got=repr(precision), expected=", ".join(INFERENCE_PRECISIONS)
            )
        self._stored = source if isinstance(source, Artifact) and source.manifest.kind == OPENVINO else None
        self._path = source.path if isinstance(source, Artifact) else Path(source)
        self._threads = threads
        self._precision = precision
        self._compiled: Any = None
        self.backend = "openvino" if precision == "f32" else f"openvino-{precision}"
        self.device = _device_name(threads or os.cpu_count())

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
        """The metadata properties of the ONNX file, also for a model that was made from one."""
        self._live()
        return dict(self._metadata)

    def _load(self) -> None:
        require_precision(self._precision, core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        model = onnx_model(self._path) if self._stored is None else model_of(self._stored)
        with openvino_refusals(f"OpenVINO cannot load {self._path}"):
            if len(model.inputs) != 1 or len(model.outputs) != 1:
                raise RunnerError(
                    f"{self._path} has another number of inputs and outputs",
                    got=f"{len(model.inputs)} and {len(model.outputs)}",
                    expected="1 and 1",
                )
            self._input, self._output = _tensor_spec(model.input()), _tensor_spec(model.output())
            self._metadata = metadata_of(model)
            self._compiled = core().compile_model(model, "CPU", self._options())
            self.device = _device_name(self._compiled.get_property("INFERENCE_NUM_THREADS"))
        if self._stored is not None:
            self.notes = notes_on(self._stored)
        elif is_quantized(self._path):
            self.notes = tuple(filter(None, [self._compared(model)]))

    def _compared(self, model: Any) -> str:
        """Return what the comparison of a quantized model with ONNX Runtime could not check. Raises RunnerError."""
        compiled = self._compiled
        if self._precision != "f32":  # bf16 adds its own rounding, so the same rewritten model is compared in f32
            with openvino_refusals(f"OpenVINO cannot load {self._path}"):
                compiled = core().compile_model(model, "CPU", {**self._options(), "INFERENCE_PRECISION_HINT": "f32"})

        def infer(array: Array) -> Array:
            step = _Request(compiled, array, np.empty(self._output.shape, self._output.dtype))
            step()
            return step.output

        tools = {"openvino": openvino_package().__version__, "machine": self.device}
        with openvino_refusals(f"OpenVINO failed on {self._path}"):
            return differences_from_onnxruntime(self._path, infer, "openvino", tools, threads=self._threads)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self._precision,
            # Otherwise OpenVINO would also quantize the activations of matrix products with INT8 weights.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            # Pinning gains nothing on an idle machine. Beside another busy program a pinned thread waits for its core
            # while another core is free (runs took 1.5 to 1.7 times as long), and two programs pin to the same core.
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads:
            options["INFERENCE_NUM_THREADS"] = self._threads
        return options

    def _free(self) -> None:
        self._compiled = None

    def _infer(self, array: Array) -> Array:
        # A request costs microseconds; a new one for each call lets several threads call at once.
        source = np.require(array, requirements=("C", "W"))  # OpenVINO does not share read-only arrays
        step = _Request(self._live(), source, np.empty(self._output.shape, self._output.dtype))
        with openvino_refusals(f"OpenVINO failed on {self._path}"):
            step()
        return step.output

    def _bind(self, array: Array) -> Step:
        return _Request(self._live(), np.array(array, order="C"), np.empty(self._output.shape, self._output.dtype))

    def _live(self) -> Any:
        if self._compiled is None:
            raise RunnerError(f"the {self.backend} runner is not open", hint="open it first: with runner: ...")
        return self._compiled


class _Request(Step):
    """An inference that reads and writes the two arrays in place, so that timing it includes no copies."""

    def __init__(self, compiled: Any, source: Array, result: Array) -> None:
        tensor = openvino_package().Tensor
        self.input = source
        self.output = result
        self._request = compiled.create_infer_request()
        self._request.set_input_tensor(tensor(source, shared_memory=True))
        self._request.set_output_tensor(tensor(result, shared_memory=True))

    def __call__(self) -> None:
        self._request.infer(share_outputs=True)


def cpu_capabilities() -> list[str]:
    """Return the precisions that OpenVINO lists for this processor, such as FP32, BF16, INT8.

    Raises MissingDependencyError.
    """
    return list(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def require_precision(precision: str, capabilities: Sequence[str]) -> None:
    """Raise RunnerError for a precision that a processor with those capabilities would silently replace."""
    if INFERENCE_PRECISIONS[precision] not in capabilities:
        raise RunnerError(
            f"this processor does not compute in {precision}",
            got=f"{', '.join(capabilities)}, as OpenVINO sees it",
            expected=INFERENCE_PRECISIONS[precision],
            hint="use --runner openvino",
        )


def _tensor_spec(port: Any) -> TensorSpec:
    kind, shape = port.get_element_type().get_type_name(), port.get_partial_shape()
    name = port.get_any_name()
    if kind not in _DTYPES or not shape.is_static:
        raise RunnerError(
            f"the tensor {name} is not a static float or uint8 tensor", got=f"{kind} {shape}", expected="static"
        )
    return TensorSpec(name, tuple(shape.to_shape()), _DTYPES[kind])


def _device_name(threads: int | None) -> str:
    return f"CPU ({platform.machine()}, {threads} threads)"
