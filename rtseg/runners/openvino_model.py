"""The two sources of models that OpenVINO compiles: corrected ONNX files, and models that OpenVINO stored.

A stored model, OpenVINO's intermediate representation (IR), is two files: NAME.xml, the graph, and NAME.bin, the values
of its constants. Both are read from bytes whose digests were compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import OpenVinoDetails
from rtseg.artifacts.onnx_bytes import operator_types
from rtseg.errors import RunnerError, WriteError
from rtseg.runners.openvino_package import core, openvino_package, openvino_refusals, openvino_release
from rtseg.runners.openvino_quantization import join_quantization

_QUANTIZING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")
"""ONNX operators that produce or compute integers; OpenVINO replaces them with its own."""

_METADATA = ["framework"]
"""Key under which OpenVINO's ONNX reader keeps a file's metadata, also in a stored model."""


def is_quantized(path: Path) -> bool:
    """Return whether an ONNX file holds quantization operators, which this runner rewrites. Raises OSError."""
    return not operator_types(path).isdisjoint(_QUANTIZING)


def onnx_model(path: Path) -> Any:
    """Return the openvino.Model of an ONNX file, with its quantization rewritten for OpenVINO.

    Raises RunnerError for a file that OpenVINO cannot read, and for operators that compute in integers themselves,
    because OpenVINO computes some of them wrongly; MissingDependencyError.
    """
    _require_plain_operators(path)
    with openvino_refusals(f"OpenVINO cannot load {path}"):
        # Core.read_model would try other formats too, and print their errors.
        reader = openvino_package().frontend.FrontEndManager().load_by_framework("onnx")
        model = reader.convert(reader.load(str(path)))
        join_quantization(model, openvino_package())
    return model


def stored_model(xml: bytes, weights: bytes, label: str) -> Any:
    """Return the openvino.Model that store_model wrote. label names it in messages.

    Raises RunnerError for anything else, and MissingDependencyError.
    """
    if not xml.startswith(b"<?xml"):  # for anything else OpenVINO would try other formats, and print their errors
        raise RunnerError(
            f"{label} is not an OpenVINO IR file", expected="XML", hint="run rtseg build ONNX --runtime openvino"
        )
    with openvino_refusals(f"OpenVINO cannot load {label}"):
        return core().read_model(xml, weights)


def store_model(model: Any, xml: Path, weights: Path) -> None:
    """Write an openvino.Model unchanged into the two files. Raises WriteError."""
    try:
        openvino_package().serialize(model, str(xml), str(weights))
    except Exception as error:  # OpenVINO's exceptions share no other base class
        raise WriteError(f"OpenVINO cannot write {xml}: {error}") from error


def model_of(stored: Artifact) -> Any:
    """Return the openvino.Model in an artifact of kind "openvino", after comparing both digests.

    Raises ManifestError if a digest differs, RunnerError and MissingDependencyError.
    """
    return stored_model(stored.content(), stored.weights(), str(stored.path))


def metadata_of(model: Any) -> dict[str, str]:
    """Return the metadata properties of the ONNX file that a model was made from."""
    stated = model.get_rt_info(_METADATA).astype(dict) if model.has_rt_info(_METADATA) else {}
    return {key: value.astype(str) for key, value in stated.items()}


def notes_on(stored: Artifact) -> tuple[str, ...]:
    """Return notes on what the build could not check, and a note if another OpenVINO release proved the model."""
    details, release = stored.manifest.details_as(OpenVinoDetails), openvino_release()
    if details.release == release:
        return details.notes
    note = f"{stored.path} was proven with OpenVINO {details.release}, and this is {release}: "
    return (*details.notes, f"{note}rtseg build ONNX --runtime openvino proves it again")


def _require_plain_operators(path: Path) -> None:
    """Raise RunnerError for operators that compute in integers themselves: OpenVINO computes some wrongly."""
    try:
        found = sorted(kind for kind in operator_types(path) if kind.startswith("QLinear"))
    except OSError:  # reading the file reports it
        return
    if found:
        raise RunnerError(
            f"{path} holds INT8 operators that OpenVINO computes incorrectly",
            got=", ".join(found),
            expected="plain operators between QuantizeLinear and DequantizeLinear",
            hint="quantize the network in the QDQ format, or run it with --runner onnxruntime",
        )
