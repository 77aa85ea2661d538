"""Make a segmenter from a file: verify the manifest, choose the runner, compare the contracts in the graph."""

from __future__ import annotations

import json
import reprlib
from typing import Any

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.manifest import COPY_AGAIN
from rtseg.errors import ManifestError
from rtseg.frame.segmenter import Segmenter
from rtseg.frame.workspaces import require_threads
from rtseg.runners.registry import RUNNABLE, default_runner, file_runner
from rtseg.specs import contract_metadata


def load(source: ArtifactLike, *, runner: str | None = None, threads: int = 0) -> Segmenter:
    """Return a segmenter for an ONNX file, an engine or an OpenVINO model. The file is verified first.

    runner is a name of rtseg.runners.registry, by default onnxruntime for an ONNX file, openvino for a model of
    OpenVINO, and for an engine the product that built it, tensorrt or tensorrt-rtx. threads is 0, for all cores, to
    256. Raises ManifestError for a file that does not match its manifest, UnknownNameError and RunnerError, and
    SpecError for threads out of range.
    """
    require_threads(threads)
    artifact = Artifact.claimed(source, kind=RUNNABLE)
    if artifact.manifest.kind == "onnx" and artifact is not source:
        artifact = artifact.verified()  # runners of the other kinds verify the bytes themselves
    manifest = artifact.manifest
    opened = file_runner(runner or default_runner(manifest), artifact, threads=threads)
    opened.open()
    try:
        _require_same_contract(artifact, opened.metadata)
    except ManifestError:
        opened.close()
        raise
    return Segmenter(opened, manifest.image, manifest.output, threads=threads)


def _require_same_contract(artifact: Artifact, metadata: dict[str, str] | None) -> None:
    if metadata is None:
        return
    manifest = artifact.manifest
    expected = contract_metadata(manifest.image, manifest.output)
    for key, value in expected.items():
        if metadata.get(key) != value:
            got, wanted = _difference(metadata.get(key, ""), value)
            raise ManifestError(
                f"{artifact.path} and its manifest state different contracts: {key}",
                got=got,
                expected=wanted,
                hint=COPY_AGAIN,
            )


def _difference(stated: str, expected: str) -> tuple[str, str]:
    """Return the fields in which two contracts differ, as one text for each side."""
    wanted = _flat(json.loads(expected))
    try:
        got = _flat(json.loads(stated))
    except (ValueError, RecursionError):
        return (reprlib.repr(stated) if stated else "nothing"), "a contract in JSON"
    differing = [name for name in [*wanted, *got] if got.get(name) != wanted.get(name)]
    sides = ({name: side[name] for name in dict.fromkeys(differing) if name in side} for side in (got, wanted))
    first, second = (reprlib.repr(side) for side in sides)
    return first, second


def _flat(contract: Any) -> dict[str, Any]:
    """Return a contract's fields in one flat dict, with those of its class list."""
    fields = dict(contract) if isinstance(contract, dict) else {"contract": contract}
    classes = fields.pop("classes", {})
    return {**fields, **(classes if isinstance(classes, dict) else {"classes": classes})}
