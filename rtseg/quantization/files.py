"""Quantize one exported file: a canonical FP32 file and a calibration table become an INT8 or FP16 file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.details import Digest, QuantizationDetails, written_for
from rtseg.artifacts.files import PathLike, written_together
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.calibration.table import CalibrationTable
from rtseg.errors import QuantizationError
from rtseg.graphs.canonical import read_canonical, require_canonical
from rtseg.graphs.identity import structure_sha256
from rtseg.graphs.view import GraphView
from rtseg.quantization.census import Census, census_of
from rtseg.quantization.insertion import ENCODINGS, with_pairs
from rtseg.quantization.same_graph import require_same_results
from rtseg.quantization.targets import placement_for
from rtseg.runners.onnxruntime import OnnxRuntimeRunner


@dataclass(frozen=True)
class Original:
    """A canonical FP32 file, loaded, with one shared view of its graph."""

    artifact: Artifact
    view: GraphView

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self.artifact.path

    @property
    def manifest(self) -> Manifest:
        """The file's manifest."""
        return self.artifact.manifest

    @property
    def model(self) -> onnx.ModelProto:
        """The graph. Do not change it."""
        return self.view.model


def read_original(source: ArtifactLike) -> Original:
    """Return an exported FP32 file. Raises ManifestError, OnnxError, or QuantizationError for another precision."""
    artifact = Artifact.open(source, kind="onnx")
    if artifact.manifest.precision != "fp32":
        raise QuantizationError(
            f"{artifact.path} is not an FP32 file",
            got=artifact.manifest.precision,
            expected="fp32",
            hint="quantize the file that it was made from",
        )
    return Original(artifact, GraphView(read_canonical(artifact.path)))


def read_table(path: PathLike, original: Original) -> CalibrationTable:
    """Return the calibration table in a file. Raises CalibrationError if it belongs to another graph."""
    table = CalibrationTable.read(path)
    require_table_of(table, original)
    return table


def require_table_of(table: CalibrationTable, original: Original) -> None:
    """Raise CalibrationError unless the table belongs to that graph."""
    table.require_graph(original.manifest, structure_sha256(original.view), str(original.path))


def int8_graph(
    original: Original, table: CalibrationTable, *, target: str, excluded: Collection[str] = ()
) -> tuple[onnx.ModelProto, Census]:
    """Return the graph with explicit Q/DQ for the target, and a census of what became INT8.

    Raises QuantizationError if nothing would become INT8, or if the table lacks a range.
    """
    placement = placement_for(target, original.view, excluded)
    model = with_pairs(original.view, placement, table.ranges, ENCODINGS[target])
    census = census_of(model, placement.left)
    if not census.macs["int8"]:
        reasons = sorted(set(placement.left.values())) or ["no rule covers any operator"]
        raise QuantizationError(
            f"nothing of {original.path} would become INT8",
            got="; ".join(reasons[:4]),
            hint="use fewer exclusions, or --to fp16",
        )
    require_canonical(model, f"the INT8 graph of {original.path}")
    return model, census


def write_derived(
    original: Original,
    model: onnx.ModelProto,
    path: PathLike,
    *,
    precision: str,
    details: QuantizationDetails | None = None,
) -> Artifact:
    """Check the graph against the original with ONNX Runtime, write it with its manifest, and return the artifact.

    Raises QuantizationError if its result is not finite or differs from the original's, RunnerError and WriteError.
    """
    kept = {original.path.resolve(), manifest_path(original.path).resolve()}
    if kept & {Path(path).resolve(), manifest_path(path).resolve()}:
        raise QuantizationError(f"the result would overwrite {path}", hint="choose another name with -o")
    with written_together(path, manifest_path(path)) as (part, sidecar):
        part.write_bytes(model.SerializeToString())
        _require_finite(part, str(path))
        require_same_results(original.view, original.path, part, precision, str(path))
        manifest = replace(
            original.manifest,
            precision=precision,
            parent_sha256=original.manifest.sha256,
            details=replace(
                details or QuantizationDetails(),
                written_for=written_for(original.manifest.details),
                grandparent_sha256=original.manifest.parent_sha256,
            ),
        )
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return Artifact(Path(path), manifest)


def default_name(original: Original, precision: str, target: str) -> Path:
    """Return a path beside the original that names the precision: NAME.int8.onnx, NAME.int8-onnxruntime.onnx."""
    suffix = precision if target == "tensorrt" or precision == "fp16" else f"{precision}-{target}"
    return original.path.with_name(f"{original.path.stem}.{suffix}.onnx")


def table_facts(sha256: Digest, table: CalibrationTable) -> dict[str, Any]:
    """Return the manifest's entries about a calibration table; sha256 is the digest of the table's file, if any."""
    return {
        "sha256": sha256,
        "method": table.method,
        "data": table.data,
        "split": table.split,
        "pictures": len(table.pictures),
    }


def _require_finite(path: Path, label: str) -> None:
    with OnnxRuntimeRunner(path) as runner:
        random = np.random.default_rng(0)
        shape = runner.input.shape
        if runner.input.dtype == "uint8":
            runner.infer(random.integers(0, 256, shape, np.uint8))
        elif not np.isfinite(runner.infer(random.standard_normal(shape, np.float32))).all():
            raise QuantizationError(f"{label} would give values that are not finite", hint="run rtseg calibrate again")
