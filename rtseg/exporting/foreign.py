"""Import another exporter's ONNX file: make it canonical, add the two contracts, and prove that it computes the same.

read ──▶ one size ──▶ float32 NCHW ends ──▶ opset 17 ──▶ simplified, with contracts ──▶ no last Resize ──▶ compared
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import OnnxImportDetails
from rtseg.artifacts.files import PathLike, sha256_of, written_together
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.artifacts.onnx_bytes import external_files
from rtseg.errors import OnnxError, ParityError, SpecError, first_line
from rtseg.exporting.foreign_contract import ContractOptions
from rtseg.exporting.foreign_graph import ForeignGraph
from rtseg.exporting.last_resize import LastResize, Upsampled, last_resize, without_last_resize
from rtseg.exporting.opset_lowering.opset import with_canonical_opset
from rtseg.exporting.parity import parity_of
from rtseg.exporting.parity_report import MIN_LABEL_AGREEMENT, ParityReport
from rtseg.exporting.static_graph import static_copy
from rtseg.exporting.tensorrt_operators import unsupported_operators
from rtseg.exporting.untouched import UntouchedFile
from rtseg.frame.protocol import Runner, TensorSpec
from rtseg.graphs.canonical import IR_VERSION, read_canonical, read_graph, require_canonical
from rtseg.graphs.contract import graph_ends, graph_precision, stated_contract, stated_manifest
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import contract_metadata


@dataclass(frozen=True)
class ImportedOnnx:
    """The file, the changes made to it, and the comparison; None if nothing had to be changed."""

    artifact: Artifact
    account: str
    parity: ParityReport | None


def canonical_import(
    source: PathLike, output: PathLike | None = None, *, said: ContractOptions | None = None
) -> ImportedOnnx:
    """Write the canonical form of an ONNX file with its manifest, once ONNX Runtime computes the same with both.

    A file that states its contracts in its metadata, such as an rtseg file without its manifest, needs no options. If
    it is also canonical and no output is given, the file stays as it is and gets a manifest. Otherwise output is by
    default NAME.canonical.onnx beside it. A last Resize of the logits to the picture's size is left out (last_resize),
    unless the interface scores is asked for.

    Raises OnnxError for a file that cannot be made canonical, SpecError for a missing contract, with the options to
    give, or for one that does not fit the graph, ParityError and WriteError.
    """
    origin, said = Path(source), said or ContractOptions()
    sidecar = manifest_path(origin)
    model = read_graph(origin)
    scattered = bool(external_files(origin))
    if sidecar.exists() and not scattered:
        raise OnnxError(f"{origin} has a manifest already, {sidecar}", hint="use it as it is: it needs no import")
    foreign = ForeignGraph.of(model, said, str(origin))
    if output is None and not scattered and _is_canonical(model, str(origin)):
        return _with_manifest(origin)
    path = Path(output) if output is not None else origin.with_name(f"{origin.stem}.canonical.onnx")
    if {path.resolve(), manifest_path(path).resolve()} & {origin.resolve(), manifest_path(origin).resolve()}:
        raise OnnxError(f"the result would overwrite {origin}", hint="choose another name with -o")
    canonical, changes = _canonical_copy(foreign, str(origin))
    given, last = foreign.output, _last_resize(foreign, canonical, said, str(origin))
    if last is not None:
        given = last.contract(foreign.output)
        without_last_resize(canonical, last, contract_metadata(foreign.image, given))
        changes.append(last.note(origin.name, foreign.image.resolution))
    account = "; ".join([*foreign.changes, *changes, "contracts written into the metadata"])
    with foreign.reference(origin) as reference, written_together(path, manifest_path(path)) as (part, sidecar):
        part.write_bytes(canonical.SerializeToString())
        read_canonical(part, label=str(path))
        runner: Runner = OnnxRuntimeRunner(part, optimized=False)
        if last is not None:
            runner = Upsampled(runner, foreign.image.resolution, align_corners=last.align_corners)
        with runner as candidate:
            report = parity_of(reference, candidate, foreign.image, foreign.output, ())
        report.require_agreement(str(path))
        if isinstance(reference, UntouchedFile):
            _require_same_decision(reference, foreign, str(origin))
        manifest = Manifest(
            kind="onnx",
            network=origin.stem,
            options={},
            weights=f"imported from {origin.name}",
            precision=graph_precision(canonical),
            image=foreign.image,
            output=given,
            parent_sha256=sha256_of(origin),
            details=OnnxImportDetails(account, report.to_json(), tuple(unsupported_operators(canonical))),
        )
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return ImportedOnnx(Artifact(path, manifest), account, report)


def _last_resize(
    foreign: ForeignGraph, canonical: onnx.ModelProto, said: ContractOptions, label: str
) -> LastResize | None:
    """Return the Resize that can be left out; None if there is none, or if scores are asked for or stated in the file.

    Raises SpecError if the options state another rule than the Resize has.
    """
    if said.interface == "scores" or foreign.ends is None or foreign.output.interface != "scores":
        return None
    last = last_resize(canonical, foreign.image.resolution)
    if last is not None and said.align_corners not in (None, last.align_corners):
        raise SpecError(
            f"{label} ends with a Resize of another rule",
            got=f"--{'' if said.align_corners else 'no-'}align-corners",
            hint="leave it out: the graph shows the rule",
        )
    return last


def _canonical_copy(foreign: ForeignGraph, label: str) -> tuple[onnx.ModelProto, list[str]]:
    """Return the graph in the canonical opset and IR version, simplified, and a list of the changes.

    The caller must prove that it computes the same. Raises OnnxError for an opset that cannot be converted, and for
    operators outside ONNX's own domain.
    """
    copy, changes = with_canonical_opset(foreign.settled, label)
    if foreign.model.ir_version != IR_VERSION:
        changes.append(f"IR {foreign.model.ir_version} became {IR_VERSION}")
    copy.ir_version = IR_VERSION
    (_, _), (element, shape) = graph_ends(copy, label)
    name = copy.graph.output[0].name
    result = TensorSpec(name, shape, "uint8" if element == onnx.TensorProto.UINT8 else "float32")
    try:
        return static_copy(copy, result, contract_metadata(foreign.image, foreign.output)), changes
    except onnx.shape_inference.InferenceError as error:
        raise OnnxError(f"{label} is not valid ONNX: {first_line(error)}") from error


def _require_same_decision(reference: UntouchedFile, foreign: ForeignGraph, label: str) -> None:
    """Raise ParityError unless the file and rtseg make the same labels from the file's scores."""
    if foreign.ends is None or not foreign.ends.scores.decided:
        return
    array = np.random.default_rng(0).standard_normal(reference.input.shape, np.float32)
    scores, labels = reference.decided(array)
    threshold = foreign.output.threshold
    ours = scores[0].argmax(0) if threshold is None else scores[0, 0] > np.float32(threshold)
    agreement = float((ours == labels).mean())
    if agreement < MIN_LABEL_AGREEMENT:
        raise ParityError(
            f"{label} and rtseg make different labels from the same scores",
            got=f"{agreement:.4%} equal labels",
            expected=f"at least {MIN_LABEL_AGREEMENT:.1%}",
            hint="pass --output with the output that has the scores",
        )


def _is_canonical(model: onnx.ModelProto, label: str) -> bool:
    """Return whether the file only needs a manifest."""
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
