"""The part of a manifest that depends on what made the file: one type for each maker.

In JSON the field "made_by" names the type. Manifests of the first format lack this field; their other fields show the
type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Optional, TypeVar, get_origin, get_type_hints

from rtseg.errors import ManifestError
from rtseg.specs.versioned_json import require_field_types

Digest = Optional[str]
"""Hexadecimal SHA-256; None if there is no file to digest."""

OptionalReport = Optional[Mapping[str, Any]]
DetailsType = TypeVar("DetailsType", bound="Details")


@dataclass(frozen=True)
class Details:
    """Nothing in addition to the common fields."""

    made_by: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values, "made_by" first."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {"made_by": self.made_by, **{name: _plain(value) for name, value in values.items()}}

    @classmethod
    def from_json(cls: type[DetailsType], data: Mapping[str, Any], *, strict: bool = True) -> DetailsType:
        """Return the details that to_json described, without "made_by".

        Raises SpecError for a field of another type. Raises ManifestError for an unknown field, unless strict is False.
        """
        known = {entry.name for entry in fields(cls)}
        if strict and (unknown := sorted(set(data) - known)):
            raise ManifestError("the manifest has unknown details", got=", ".join(unknown))
        values = {name: value for name, value in data.items() if name in known}
        for name, hint in get_type_hints(cls).items():
            if name in values and get_origin(hint) is tuple and isinstance(values[name], list):
                values[name] = tuple(values[name])
        made = cls(**values)
        require_field_types(cls, vars(made))
        return made


@dataclass(frozen=True)
class TrainingDetails(Details):
    """How weights were trained.

    history has one record for each epoch: epoch, loss, learning_rate and, if the epoch was validated, miou.
    class_shares are the classes' fractions of the labelled pixels. backbone_sha256 is the digest of the file that the
    backbone started from.
    """

    made_by: ClassVar[str] = "training"

    recipe: Mapping[str, Any] = field(default_factory=dict)
    loss: str = ""
    backbone_sha256: Digest = None
    class_shares: tuple[float, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    selected_epoch: int = 0
    selected_by: str = ""
    train_pictures: int = 0
    validation_pictures: int = 0
    validation_miou: float = 0.0


@dataclass(frozen=True)
class WeightImportDetails(Details):
    """Where weights were imported from, and what happened to each of the file's keys: taken, renamed or dropped."""

    made_by: ClassVar[str] = "weight import"

    source: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportDetails(Details):
    """The comparison with PyTorch, input by input, and the operators that TensorRT 8.5 does not parse.

    written_for is the form of the network in the graph: "gpu" or "cpu", or "" if one form serves both.
    """

    made_by: ClassVar[str] = "export"

    parity: Mapping[str, Any] = field(default_factory=dict)
    unsupported_by_tensorrt_8_5: tuple[str, ...] = ()
    written_for: str = ""


@dataclass(frozen=True)
class OnnxImportDetails(Details):
    """What was changed in another exporter's file (account), and the comparison with that file."""

    made_by: ClassVar[str] = "ONNX import"

    account: str = ""
    parity: Mapping[str, Any] = field(default_factory=dict)
    unsupported_by_tensorrt_8_5: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuantizationDetails(Details):
    """How a graph became INT8 or FP16.

    target is the runtime that the INT8 is placed for. table describes the calibration table, None without one.
    excluded are the operators that the user kept in floating point, budget what was measured for --max-drop. census
    counts operators and multiply-accumulates by precision. written_for is that of the FP32 file (ExportDetails),
    grandparent_sha256 the digest of that file's parent.
    """

    made_by: ClassVar[str] = "quantization"

    target: str = ""
    table: OptionalReport = None
    excluded: tuple[str, ...] = ()
    budget: OptionalReport = None
    notes: tuple[str, ...] = ()
    census: Mapping[str, Any] = field(default_factory=dict)
    grandparent_sha256: Digest = None
    written_for: str = ""


@dataclass(frozen=True)
class EngineDetails(Details):
    """What built an engine, for which GPUs, and what was proven about it.

    runtime is "tensorrt" or "tensorrt-rtx", release its version. compute_capabilities are strings such as "8.9";
    portable means that later ones can run the engine too. gpu is the name of the GPU that TensorRT built on, "" for
    TensorRT for RTX. typed means that the graph holds the precisions and no builder flag sets them. source_sha256 is
    the digest of the file's graph, lowered_sha256 of the graph that was compiled, layers_sha256 of the JSON about the
    layers. rewriting describes the graph passes applied before and what they saved; empty if none were asked for.
    settings are those of the build, audit the proof of its precision. grandparent_sha256 is the digest of the parent of
    the file that the engine was built from.
    """

    made_by: ClassVar[str] = "build"

    runtime: str = ""
    release: str = ""
    compute_capabilities: tuple[str, ...] = ()
    portable: bool = False
    gpu: str = ""
    typed: bool = False
    builder_flags: tuple[str, ...] = ()
    lowering: str = ""
    rewriting: Mapping[str, Any] = field(default_factory=dict)
    source_sha256: str = ""
    lowered_sha256: str = ""
    layers_sha256: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    build_seconds: float = 0.0
    grandparent_sha256: Digest = None


@dataclass(frozen=True)
class OpenVinoDetails(Details):
    """What stored an OpenVINO model, and what was proven about it.

    runtime is "openvino", release its version. weights_sha256 is the digest of the file of constants beside the graph.
    target is the runtime that INT8 is placed for, "" for other precisions. identical_on lists the inputs on which the
    stored model gave the same bits as the ONNX file. compared_with names what quantized values were compared with; it
    is "" if there are none or if it is not installed, and notes say which. grandparent_sha256 is the digest of the
    parent of the ONNX file; the ONNX file is the manifest's parent.
    """

    made_by: ClassVar[str] = "OpenVINO build"

    runtime: str = ""
    release: str = ""
    weights_sha256: str = ""
    target: str = ""
    identical_on: tuple[str, ...] = ()
    compared_with: str = ""
    notes: tuple[str, ...] = ()
    build_seconds: float = 0.0
    grandparent_sha256: Digest = None


_TYPES: tuple[type[Details], ...] = (
    Details,
    TrainingDetails,
    WeightImportDetails,
    ExportDetails,
    OnnxImportDetails,
    QuantizationDetails,
    EngineDetails,
    OpenVinoDetails,
)
_BY_MAKER = {details.made_by: details for details in _TYPES}


def written_for(details: Details) -> str:
    """Return the form of the network in a graph, "cpu" or "gpu"; "" if one form serves both or none is recorded."""
    return details.written_for if isinstance(details, (ExportDetails, QuantizationDetails)) else ""


def details_from_json(data: Mapping[str, Any]) -> Details:
    """Return the details in a manifest of the present format. Raises ManifestError and SpecError."""
    values = dict(data)
    made_by = values.pop("made_by", None)
    if not isinstance(made_by, str) or made_by not in _BY_MAKER:
        raise ManifestError(
            "the manifest does not say what made the file",
            got=repr(made_by),
            expected=f"one of {', '.join(repr(name) for name in _BY_MAKER)}",
        )
    return _BY_MAKER[made_by].from_json(values)


def details_of_the_first_format(kind: str, data: Mapping[str, Any]) -> Details:
    """Return the details in a manifest of the format rtseg/1, where they were plain values. Raises SpecError.

    Fields that rtseg no longer keeps are left out.
    """
    values = dict(data)
    values["grandparent_sha256"] = values.pop("from", None)
    if kind == "engine":
        return EngineDetails.from_json(_first_engine(values), strict=False)
    if kind == "checkpoint":
        chosen: type[Details] = WeightImportDetails if "keys" in values else TrainingDetails
        return chosen.from_json(values, strict=False) if {"keys", "recipe"} & set(values) else Details()
    if "census" in values:
        return QuantizationDetails.from_json(values, strict=False)
    if "imported" in values:
        return OnnxImportDetails.from_json({**values, "account": values["imported"]}, strict=False)
    return ExportDetails.from_json(values, strict=False) if "parity" in values else Details()


def _first_engine(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first format's fields by their present names; it stored runtime and release in another form."""
    capabilities = values.get("compute_capabilities") or list(filter(None, [values.get("compute_capability")]))
    return {
        **values,
        "runtime": values.get("runtime", "tensorrt"),
        "release": values.get("tensorrt_rtx") or values.get("tensorrt") or "",
        "compute_capabilities": capabilities,
        "gpu": values.get("device", ""),
        "settings": values.get("profile") or {},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
