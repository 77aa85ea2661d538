"""Store the model that OpenVINO's runner compiles for an ONNX file, so that C++ need not correct the graph again.

The runner rewrites quantized graphs, because OpenVINO would compute them wrongly (`runners/openvino_quantization.py`),
and compares them with ONNX Runtime. The stored model gets its file name only after it was read back, as every reader
does it, and gave the same bits as the ONNX file on the inputs of that comparison.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.details import OpenVinoDetails, QuantizationDetails
from rtseg.artifacts.files import PathLike, require_writable, sha256_of, written_together
from rtseg.artifacts.manifest import (
    Manifest,
    manifest_path,
    require_separate,
    tool_versions,
    weights_path,
    write_manifest,
)
from rtseg.engines.building import opened_source
from rtseg.errors import RunnerError, SpecError
from rtseg.observer import SILENT, Observer
from rtseg.runners.loading import load
from rtseg.runners.openvino_model import is_quantized, onnx_model, store_model
from rtseg.runners.openvino_package import OPENVINO, openvino_release
from rtseg.runners.probes import probe_inputs

SUFFIX = ".xml"


@dataclass(frozen=True)
class _Proof:
    """The inputs on which both models gave the same bits, the reference of the values, and what remains unchecked."""

    identical_on: tuple[str, ...]
    compared_with: str
    notes: tuple[str, ...]
    device: str


def build_openvino(
    source: ArtifactLike,
    output: PathLike | None = None,
    *,
    precision: str | None = None,
    observer: Observer = SILENT,
) -> Artifact:
    """Store the model that OpenVINO's runner compiles for an ONNX file, and return it.

    output is the graph, NAME.xml, by default NAME.openvino.xml beside the source; the constants are beside it in
    NAME.bin. All files are written together, or none. precision, if given, must be the file's own, which is kept.

    Raises MissingDependencyError, ManifestError and OnnxError for the file, SpecError for another precision or suffix,
    RunnerError if OpenVINO refuses the file, computes it wrongly, or gives other results for the stored model, and
    WriteError.
    """
    started = time.monotonic()
    path, parent = opened_source(source, observer)
    _require_precision(path, parent, precision)
    xml = Path(output) if output is not None else path.with_name(f"{path.stem}.openvino{SUFFIX}")
    if xml.suffix != SUFFIX:
        raise SpecError(
            "OpenVINO reads a model by its suffix", got=xml.name, expected=f"NAME{SUFFIX}, its constants in NAME.bin"
        )
    targets = (xml, manifest_path(xml), weights_path(xml))
    for target in targets:
        require_separate(target, path)
    require_writable(*targets)
    with tempfile.TemporaryDirectory(prefix="rtseg-") as folder:
        kept = Path(folder) / f"model{SUFFIX}"
        store_model(onnx_model(path), kept, weights_path(kept))
        details = OpenVinoDetails(
            runtime=OPENVINO,
            release=openvino_release(),
            weights_sha256=sha256_of(weights_path(kept)),
            target=parent.details.target if isinstance(parent.details, QuantizationDetails) else "",
            grandparent_sha256=parent.parent_sha256,
        )
        manifest = replace(parent, kind=OPENVINO, parent_sha256=parent.sha256, tools={}, details=details)
        manifest = write_manifest(kept, manifest)
        proof = _proven(Artifact(path, parent), Artifact(kept, manifest))
        for note in proof.notes:
            observer.note(note)
        details = replace(
            details,
            identical_on=proof.identical_on,
            compared_with=proof.compared_with,
            notes=proof.notes,
            build_seconds=round(time.monotonic() - started, 3),
        )
        with written_together(*targets) as (part, sidecar, weights):
            part.write_bytes(kept.read_bytes())
            weights.write_bytes(weights_path(kept).read_bytes())
            manifest = write_manifest(part, replace(manifest, device=proof.device, details=details), sidecar=sidecar)
    return Artifact(xml, manifest)


def _require_precision(path: Path, manifest: Manifest, precision: str | None) -> None:
    if precision is not None and precision != manifest.precision:
        hint = f"run rtseg quantize {path} --to {precision} first, and build its output"
        raise SpecError(
            f"rtseg build --runtime openvino does not change the precision of {path}",
            got=precision,
            expected=f"{manifest.precision}, the file's precision",
            hint=hint if manifest.precision == "fp32" else "build the file that it was made from",
        )


def _proven(graph: Artifact, stored: Artifact) -> _Proof:
    """Run both on the inputs of the runner's comparison of quantized files with ONNX Runtime.

    Raises RunnerError if the file itself is computed wrongly, or if the stored model's results differ in a bit.
    """
    with load(graph, runner=OPENVINO) as original, load(stored, runner=OPENVINO) as reread:
        names = []
        for name, array in probe_inputs(original.runner.input):
            expected, got = original.runner.infer(array.copy()), reread.runner.infer(array.copy())
            if expected.dtype != got.dtype or not np.array_equal(
                expected.view(np.uint8),
                got.view(np.uint8),  # compared as bytes, so that NaN equals NaN
            ):
                raise RunnerError(
                    f"the results of the model that OpenVINO stored differ from those of {graph.path}",
                    got=f"other values on the probe input {name!r}",
                    expected="the same bits",
                    hint=f"use --runner {OPENVINO} on the ONNX file",
                )
            names.append(name)
        quantized, notes = is_quantized(graph.path), original.runner.notes
        compared = [f"{name} {version}" for name, version in tool_versions().items() if name.startswith("onnxruntime")]
        return _Proof(tuple(names), ", ".join(compared) if quantized and not notes else "", notes, reread.runner.device)
