"""Anybody's ONNX file becomes one of rtseg: canonical, with the two contracts, and proven to compute the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import inliner, version_converter

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import OnnxImportDetails
from rtseg.artifacts.files import PathLike, sha256_of, written_together
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.artifacts.onnx_bytes import external_files
from rtseg.errors import OnnxError, first_line
from rtseg.exporting.foreign_contract import ContractOptions, foreign_contract
from rtseg.exporting.parity import parity_of
from rtseg.exporting.parity_report import ParityReport
from rtseg.exporting.static_graph import static_copy
from rtseg.exporting.tensorrt_operators import unsupported_operators
from rtseg.frame.protocol import TensorSpec
from rtseg.graphs.canonical import IR_VERSION, OPSET, read_canonical, read_graph, require_canonical
from rtseg.graphs.contract import graph_ends, graph_precision, stated_contract, stated_manifest
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import contract_metadata

OLDEST_OPSET = 11
"""Before it Resize and Pad were other operators."""

_OWN_DOMAINS = ("", "ai.onnx")
_SPURIOUS = "noop_with_empty_axes"
"""An attribute that onnx's converter leaves in reductions of opset 17, which has none; its default is their meaning."""


@dataclass(frozen=True)
class ImportedOnnx:
    """The file, what was changed in it, and the comparison; None where nothing had to be changed."""

    artifact: Artifact
    account: str
    parity: ParityReport | None


def canonical_import(
    source: PathLike, output: PathLike | None = None, *, said: ContractOptions | None = None
) -> ImportedOnnx:
    """Write the canonical form of an ONNX file with its manifest, once ONNX Runtime found that both compute the same.

    A file that states its contracts in its metadata, as one of rtseg does that lost its manifest, needs nothing said.
    Where it is canonical too and no output is named, the file stays as it is and gets its manifest. Else output is by
    default NAME.canonical.onnx beside it.

    Raises OnnxError for a file that cannot be made canonical, SpecError for a contract that is missing, naming the
    options to give, or that does not fit the graph, ParityError and WriteError.
    """
    origin = Path(source)
    sidecar = manifest_path(origin)
    scattered = bool(external_files(origin))
    if sidecar.exists() and not scattered:
        raise OnnxError(
            f"{sidecar} is there already: every command takes {origin} as it is", hint="without importing it"
        )
    model = read_graph(origin)
    image, result = foreign_contract(model, said or ContractOptions(), str(origin))
    if output is None and not scattered and _is_canonical(model, str(origin)):
        return _with_manifest(origin)
    path = Path(output) if output is not None else origin.with_name(f"{origin.stem}.canonical.onnx")
    if {path.resolve(), manifest_path(path).resolve()} & {origin.resolve(), manifest_path(origin).resolve()}:
        raise OnnxError(f"the result would overwrite {origin}", hint="-o with another name")
    canonical, account = canonical_copy(model, contract_metadata(image, result), str(origin))
    with OnnxRuntimeRunner(origin) as reference, written_together(path, manifest_path(path)) as (part, sidecar):
        part.write_bytes(canonical.SerializeToString())
        read_canonical(part, label=str(path))
        with OnnxRuntimeRunner(part) as candidate:
            report = parity_of(reference, candidate, image, result, ())
        report.require_agreement(str(path))
        manifest = Manifest(
            kind="onnx",
            network=origin.stem,
            options={},
            weights=f"imported from {origin.name}",
            precision=graph_precision(canonical),
            image=image,
            output=result,
            parent_sha256=sha256_of(origin),
            details=OnnxImportDetails(account, report.to_json(), tuple(unsupported_operators(canonical))),
        )
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return ImportedOnnx(Artifact(path, manifest), account, report)


def canonical_copy(model: onnx.ModelProto, metadata: dict[str, str], label: str) -> tuple[onnx.ModelProto, str]:
    """Return the model in the canonical opset and IR version, simplified, and in words what was changed.

    Whether it computes the same is for the caller to prove. Raises OnnxError for an opset that cannot be brought there,
    and for operators that are not ONNX's own.
    """
    _, (_, shape) = graph_ends(model, label)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if copy.functions:
        copy = inliner.inline_local_functions(copy)
    opset, changes = _opset(copy, label), []
    if opset != OPSET:
        copy = _converted(copy, opset, label)
        changes.append(f"opset {opset} became {OPSET}")
    if model.ir_version != IR_VERSION:
        changes.append(f"IR {model.ir_version} became {IR_VERSION}")
    copy.ir_version = IR_VERSION
    del copy.opset_import[:]
    copy.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    constants = {entry.name for entry in copy.graph.initializer}
    inputs = [value for value in copy.graph.input if value.name not in constants]  # IR 3 wants the constants too
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    result = TensorSpec(copy.graph.output[0].name, shape, "float32")
    try:
        ready = static_copy(copy, result, metadata)
    except onnx.shape_inference.InferenceError as error:
        raise OnnxError(f"{label} is not valid ONNX: {first_line(error)}") from error
    return ready, "; ".join([*changes, "contracts written into the metadata"])


def _is_canonical(model: onnx.ModelProto, label: str) -> bool:
    """Return whether the file needs nothing but a manifest."""
    if stated_contract(model, label) is None:
        return False
    try:
        require_canonical(model, label)
    except OnnxError:
        return False
    return True


def _with_manifest(path: Path) -> ImportedOnnx:
    manifest = write_manifest(path, stated_manifest(path))
    return ImportedOnnx(Artifact(path, manifest), "nothing was changed", None)


def _opset(model: onnx.ModelProto, label: str) -> int:
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in _OWN_DOMAINS})
    if foreign:
        raise OnnxError(f"{label} has operators that are not ONNX's own", got=", ".join(foreign), expected="none")
    opset = max((entry.version for entry in model.opset_import if entry.domain in _OWN_DOMAINS), default=1)
    if opset < OLDEST_OPSET:
        raise OnnxError(f"{label} has an opset that is too old", got=opset, expected=f"{OLDEST_OPSET} or newer")
    return opset


def _converted(model: onnx.ModelProto, opset: int, label: str) -> onnx.ModelProto:
    try:
        converted = version_converter.convert_version(model, OPSET)
    except Exception as error:  # the C++ behind it raises RuntimeError, ConvertError and what else it likes
        raise OnnxError(
            f"onnx cannot bring {label} to opset {OPSET}",
            got=f"opset {opset}: {first_line(error)}",
            hint=f"an export with opset {OPSET}",
        ) from error
    for node in converted.graph.node:
        kept = [entry for entry in node.attribute if entry.name != _SPURIOUS]
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum" and len(kept) < len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(kept)
    return converted
