"""The models that OpenVINO compiles: of an ONNX file, corrected, and as it stores them itself.

A stored model, OpenVINO's intermediate representation (IR), is two files: NAME.xml, the graph, and NAME.bin, the values
of its constants. Both are read from bytes that were compared with their digests.
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
"""ONNX's operators to and in whole numbers, of which OpenVINO makes its own."""

_METADATA = ["framework"]
"""The name under which the ONNX reader keeps a file's metadata, also in what is stored."""


def is_quantized(path: Path) -> bool:
    """Return whether an ONNX file holds what OpenVINO rewrites, and what is rewritten for it. Raises OSError."""
    return not operator_types(path).isdisjoint(_QUANTIZING)


def onnx_model(path: Path) -> Any:
    """Return the openvino.Model of an ONNX file, its quantisation said so that it comes out right.

    Raises RunnerError for what OpenVINO cannot read, and for operators that compute in whole numbers themselves, of
    which it gets some wrong; MissingDependencyError.
    """
    _require_plain_operators(path)
    with openvino_refusals(f"OpenVINO cannot load {path}"):
        # Core.read_model would try other formats on it, and print their complaints.
        reader = openvino_package().frontend.FrontEndManager().load_by_framework("onnx")
        model = reader.convert(reader.load(str(path)))
        join_quantization(model, openvino_package())
    return model


def stored_model(xml: bytes, weights: bytes, label: str) -> Any:
    """Return the openvino.Model that store_model wrote. label names it in messages.

    Raises RunnerError for what is none, and MissingDependencyError.
    """
    if not xml.startswith(b"<?xml"):  # of which OpenVINO would try other formats, and print their complaints
        raise RunnerError(
            f"{label} is no model of OpenVINO", expected="XML", hint="rtseg build ONNX --runtime openvino"
        )
    with openvino_refusals(f"OpenVINO cannot load {label}"):
        return core().read_model(xml, weights)


def store_model(model: Any, xml: Path, weights: Path) -> None:
    """Write an openvino.Model as it is into the two files. Raises WriteError."""
    try:
        openvino_package().serialize(model, str(xml), str(weights))
    except Exception as error:  # OpenVINO's share no base class
        raise WriteError(f"OpenVINO cannot write {xml}: {error}") from error


def model_of(stored: Artifact) -> Any:
    """Return the openvino.Model in an artifact of kind "openvino", once both digests are compared.

    Raises ManifestError where one is another, RunnerError and MissingDependencyError.
    """
    return stored_model(stored.content(), stored.weights(), str(stored.path))


def metadata_of(model: Any) -> dict[str, str]:
    """Return the metadata properties of the ONNX file that a model was made of."""
    stated = model.get_rt_info(_METADATA).astype(dict) if model.has_rt_info(_METADATA) else {}
    return {key: value.astype(str) for key, value in stated.items()}


def notes_on(stored: Artifact) -> tuple[str, ...]:
    """Return what its build left open, and whether it was another release that it was proven with."""
    details, release = stored.manifest.details_as(OpenVinoDetails), openvino_release()
    if details.release == release:
        return details.notes
    told = f"{stored.path} was proven with OpenVINO {details.release}, and this is {release}: "
    return (*details.notes, f"{told}rtseg build ONNX --runtime openvino proves it anew")


def _require_plain_operators(path: Path) -> None:
    """Raise RunnerError for operators that compute in whole numbers themselves: OpenVINO gets some wrong."""
    try:
        found = sorted(kind for kind in operator_types(path) if kind.startswith("QLinear"))
    except OSError:  # which reading it tells of
        return
    if found:
        raise RunnerError(
            f"{path} holds operators of INT8 that OpenVINO does not compute as ONNX says",
            got=", ".join(found),
            expected="plain operators between QuantizeLinear and DequantizeLinear",
            hint="--runner onnxruntime, or the file quantised in the format QDQ",
        )
