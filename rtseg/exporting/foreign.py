"""Anybody's ONNX file becomes one of rtseg: canonical, with the two contracts, and proven to compute the same.

read ──▶ one size ──▶ float32 NCHW ends ──▶ opset 17 ──▶ simplified, contracts in the metadata ──▶ compared
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import inliner

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import OnnxImportDetails
from rtseg.artifacts.files import PathLike, sha256_of, written_together
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.artifacts.onnx_bytes import external_files
from rtseg.errors import OnnxError, ParityError, SpecError, first_line
from rtseg.exporting.foreign_contract import ContractOptions, contract_of_ends, contract_of_labels
from rtseg.exporting.foreign_ends import ForeignEnds, foreign_ends, takes_floats, with_plain_ends
from rtseg.exporting.one_size import settle_at
from rtseg.exporting.opset_lowering.opset import known_opset, with_canonical_opset
from rtseg.exporting.parity import parity_of
from rtseg.exporting.parity_report import MIN_LABEL_AGREEMENT, ParityReport
from rtseg.exporting.static_graph import static_copy
from rtseg.exporting.tensorrt_operators import unsupported_operators
from rtseg.exporting.training_mode import require_evaluation
from rtseg.exporting.untouched import UntouchedFile
from rtseg.frame.protocol import Runner, TensorSpec
from rtseg.graphs.canonical import IR_VERSION, read_canonical, read_graph, require_canonical
from rtseg.graphs.contract import graph_ends, graph_precision, stated_contract, stated_manifest
from rtseg.graphs.names import graph_inputs
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import ImageSpec, OutputSpec, contract_metadata


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
    require_evaluation(model, str(origin))
    foreign = _Foreign.of(model, said or ContractOptions(), str(origin))
    if output is None and not scattered and _is_canonical(model, str(origin)):
        return _with_manifest(origin)
    path = Path(output) if output is not None else origin.with_name(f"{origin.stem}.canonical.onnx")
    if {path.resolve(), manifest_path(path).resolve()} & {origin.resolve(), manifest_path(origin).resolve()}:
        raise OnnxError(f"the result would overwrite {origin}", hint="-o with another name")
    canonical, changes = _canonical_copy(foreign, str(origin))
    account = "; ".join([*foreign.changes, *changes, "contracts written into the metadata"])
    with foreign.reference(origin) as reference, written_together(path, manifest_path(path)) as (part, sidecar):
        part.write_bytes(canonical.SerializeToString())
        read_canonical(part, label=str(path))
        with OnnxRuntimeRunner(part) as candidate:
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
            output=foreign.output,
            parent_sha256=sha256_of(origin),
            details=OnnxImportDetails(account, report.to_json(), tuple(unsupported_operators(canonical))),
        )
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return ImportedOnnx(Artifact(path, manifest), account, report)


@dataclass(frozen=True)
class _Foreign:
    """A file's graph as it was read, and at one size with the ends of rtseg; ends is None where it had them."""

    model: onnx.ModelProto
    settled: onnx.ModelProto
    image: ImageSpec
    output: OutputSpec
    changes: tuple[str, ...] = ()
    ends: ForeignEnds | None = None

    @classmethod
    def of(cls, model: onnx.ModelProto, said: ContractOptions, label: str) -> _Foreign:
        stated = stated_contract(model, label)
        if stated is not None:
            if said != ContractOptions():
                raise SpecError(f"{label} states its contracts in its metadata", hint="the same without options")
            return cls(model, _inlined(model), *stated)
        settled = _inlined(model)
        known_opset(settled, label)
        changes = settle_at(settled, said.resolution, label)
        if not takes_floats(settled, label):
            return cls(model, settled, *contract_of_labels(settled, said, label), tuple(changes))
        classes = None if said.classes is None else len(said.classes)
        ends = foreign_ends(settled, label, classes=classes, head=said.head, threshold=said.threshold)
        image, output = contract_of_ends(ends, said, label)
        with_plain_ends(settled, ends)
        return cls(model, settled, image, output, (*changes, *ends.changes()), ends)

    def reference(self, origin: Path) -> Runner:
        """Return what runs the untouched file, as float32 NCHW to scores."""
        if self.ends is None:
            return OnnxRuntimeRunner(origin)
        made = {name for node in self.model.graph.node for name in node.output}
        whole = self.model if self.ends.scores.tensor in made else _inlined(self.model)
        return UntouchedFile(whole, self.ends, str(origin))


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without functions of its own, whose inputs are no constants, as IR 3 wants them to be."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if copy.functions:
        copy = inliner.inline_local_functions(copy)
    inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in graph_inputs(copy)]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    copy.ir_version = max(copy.ir_version, 4)
    return copy


def _canonical_copy(foreign: _Foreign, label: str) -> tuple[onnx.ModelProto, list[str]]:
    """Return the graph in the canonical opset and IR version, simplified, and in words what was changed.

    Whether it computes the same is for the caller to prove. Raises OnnxError for an opset that cannot be brought there,
    and for operators that are not ONNX's own.
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


def _require_same_decision(reference: UntouchedFile, foreign: _Foreign, label: str) -> None:
    """Raise ParityError unless the labels that a file makes of its scores are those that rtseg makes of them."""
    if foreign.ends is None or not foreign.ends.scores.decided:
        return
    array = np.random.default_rng(0).standard_normal(reference.input.shape, np.float32)
    scores, labels = reference.decided(array)
    threshold = foreign.output.threshold
    ours = scores[0].argmax(0) if threshold is None else scores[0, 0] > np.float32(threshold)
    agreement = float((ours == labels).mean())
    if agreement < MIN_LABEL_AGREEMENT:
        raise ParityError(
            f"{label} makes other labels of its scores than rtseg does",
            got=f"{agreement:.4%} equal labels",
            expected=f"at least {MIN_LABEL_AGREEMENT:.1%}",
            hint="--output with the output that has the scores",
        )


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
