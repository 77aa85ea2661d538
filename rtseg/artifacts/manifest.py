"""The manifest of a file: what the file is, where it came from, and proof that it has not changed.

Every artifact is a file plus the sidecar `<file>.json`. Both are written under temporary names in the same folder,
flushed to disk and renamed together, so a reader never sees an incomplete file. A process killed in between leaves at
most hidden files with `.part` in their names. On load the digest is compared before the file is parsed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from rtseg.artifacts.details import (
    Details,
    DetailsType,
    Digest,
    OpenVinoDetails,
    details_from_json,
    details_of_the_first_format,
)
from rtseg.artifacts.files import PathLike, read_utf8, require_regular_file, sha256_of, write_text_atomically
from rtseg.artifacts.import_command import import_command
from rtseg.artifacts.onnx_bytes import external_files
from rtseg.errors import ManifestError, SpecError, WriteError
from rtseg.specs import ImageSpec, OutputSpec
from rtseg.specs.versioned_json import require_field_types

FORMAT, FIRST_FORMAT = "rtseg/2", "rtseg/1"
KINDS = ("checkpoint", "onnx", "engine", "openvino")


@dataclass(frozen=True)
class Manifest:
    """The sidecar of one artifact.

    weights says where the parameters come from; details adds the facts of the file's kind.
    """

    kind: str
    network: str
    options: Mapping[str, Any]
    weights: str
    precision: str
    image: ImageSpec
    output: OutputSpec
    sha256: str = ""
    parent_sha256: Digest = None
    device: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    details: Details = field(default_factory=Details)
    format: str = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ManifestError("the manifest has an unsupported format", got=repr(self.format), expected=repr(FORMAT))
        if self.kind not in KINDS:
            raise ManifestError("unknown kind of artifact", got=repr(self.kind), expected=f"one of {', '.join(KINDS)}")

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as plain dicts, lists, strings and numbers."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["image"] = self.image.to_json()
        values["output"] = self.output.to_json()
        values["details"] = self.details.to_json()
        return values

    def details_as(self, expected: type[DetailsType]) -> DetailsType:
        """Return the details as that type. Raises ManifestError if the file was made in another way."""
        if not isinstance(self.details, expected):
            raise ManifestError(
                f"the manifest of {self.network} describes a file that was made in another way",
                got=self.details.made_by or "no record",
                expected=expected.made_by,
            )
        return self.details

    @classmethod
    def from_json(cls, data: object) -> Manifest:
        """Return the manifest that to_json gave, in this format or the first. Raises ManifestError or SpecError."""
        expected = {entry.name for entry in fields(cls)}
        if not isinstance(data, Mapping):
            raise ManifestError("a manifest is an object", got=type(data).__name__)
        if missing := sorted(expected - set(data)):
            raise ManifestError("the manifest lacks fields", expected=", ".join(missing))
        if unknown := sorted(set(data) - expected):
            raise ManifestError("the manifest has unknown fields", got=", ".join(map(str, unknown)))
        values = dict(data)
        if values["format"] not in (FORMAT, FIRST_FORMAT):
            raise ManifestError(
                "the manifest has an unsupported format",
                got=repr(values["format"]),
                expected=repr(FORMAT),
                hint="install a newer rtseg",
            )
        values["image"] = ImageSpec.from_json(values["image"])
        values["output"] = OutputSpec.from_json(values["output"])
        values["details"] = _details(values)
        values["format"] = FORMAT
        require_field_types(cls, values)
        return cls(**values)


def _details(values: Mapping[str, Any]) -> Details:
    details = values["details"]
    if not isinstance(details, Mapping):
        raise ManifestError("the manifest's details are not an object", got=type(details).__name__)
    if values["format"] == FIRST_FORMAT:
        return details_of_the_first_format(str(values["kind"]), details)
    return details_from_json(details)


def manifest_path(path: PathLike) -> Path:
    """Return the path of an artifact's manifest: PATH.json."""
    return Path(f"{os.fspath(path)}.json")


def weights_path(path: PathLike) -> Path:
    """Return the path of an OpenVINO model's constants: NAME.bin beside NAME.xml."""
    return Path(path).with_suffix(".bin")


def require_separate(output: PathLike, *inputs: PathLike | None) -> None:
    """Raise WriteError if writing output would overwrite one of the inputs, or an input's manifest."""
    for given in inputs:
        if given is not None and os.path.realpath(output) in map(os.path.realpath, (given, manifest_path(given))):
            raise WriteError(
                f"writing {output} would overwrite what belongs to {given}", hint="choose another name for the output"
            )


def write_manifest(path: PathLike, manifest: Manifest, *, sidecar: Path | None = None) -> Manifest:
    """Write the sidecar of the finished file at path; return the manifest with digest and tools filled in.

    sidecar is where to write it if the file does not have its final name yet. Raises WriteError, and ManifestError for
    values that JSON cannot hold.
    """
    values = {entry.name: getattr(manifest, entry.name) for entry in fields(manifest)}
    values["sha256"] = sha256_of(path)
    values["tools"] = {**tool_versions(), **manifest.tools}
    complete = Manifest(**values)
    try:
        text = json.dumps(complete.to_json(), indent=2, allow_nan=False)
    except ValueError as error:  # nobody could read it again
        raise ManifestError(f"the manifest of {path} would hold NaN or infinity: {error}") from error
    if sidecar is None:
        write_text_atomically(manifest_path(path), text + "\n")
    else:  # the sidecar gets its final name together with the file
        sidecar.write_text(text + "\n", encoding="utf-8")
    return complete


def is_intact(path: PathLike) -> bool:
    """Return whether the file at path matches its manifest."""
    try:
        read_manifest(path, kind=KINDS)
    except ManifestError:
        return False
    return True


def read_manifest(path: PathLike, *, kind: str | Collection[str]) -> Manifest:
    """Return the verified manifest of the file at path; kind is the expected kind, or several.

    Raises ManifestError if the file or its sidecar is missing or unreadable, describes another kind of artifact, or has
    another digest than the file, and for an ONNX file with weights in other files, which its digest does not cover. For
    an OpenVINO model the digest of the file of its constants is compared too.
    """
    manifest = read_sidecar(path, kind=kind)
    require_digest(path, manifest, sha256_of(path))
    if manifest.kind == "onnx":
        require_own_weights(path)
    if manifest.kind == "openvino":
        try:
            digest = sha256_of(weights_path(path))
        except OSError as error:
            raise unreadable_weights(path, manifest, error) from error
        require_weights_digest(path, manifest, digest)
    return manifest


def unreadable_weights(path: PathLike, manifest: Manifest, error: OSError) -> ManifestError:
    """Return the error to raise if the constants of an OpenVINO model cannot be read."""
    return ManifestError(
        f"cannot read {weights_path(path)}, the constants of {path}: {error.strerror}",
        hint=f"copy all three files; or {_way_to_mend(manifest)}",
    )


def require_weights_digest(path: PathLike, manifest: Manifest, digest: str) -> None:
    """Raise ManifestError unless the digest is that of the constants in the manifest of an OpenVINO model."""
    expected = manifest.details_as(OpenVinoDetails).weights_sha256
    if expected != digest:
        raise ManifestError(
            f"{weights_path(path)} does not match the manifest of {path}",
            got=f"sha256 {digest[:12]}",
            expected=f"sha256 {expected[:12]}",
            hint=_way_to_mend(manifest),
        )


def require_own_weights(path: PathLike) -> None:
    """Raise ManifestError for an ONNX file with weights in other files, with the command that imports it whole."""
    if others := external_files(path):
        raise ManifestError(
            f"{path} has weights in another file, which its digest does not cover",
            got=", ".join(others[:3]),
            expected="all weights in the file itself",
            hint=f"run rtseg import-onnx {path}, which puts them into the file that it writes",
        )


def read_sidecar(path: PathLike, *, kind: str | Collection[str]) -> Manifest:
    """Return the manifest beside the file at path. The file exists, but its digest is not compared yet.

    Raises ManifestError as read_manifest does, except for the digest.
    """
    sidecar, kinds = manifest_path(path), (kind,) if isinstance(kind, str) else tuple(kind)
    try:
        require_regular_file(path)
        with open(path, "rb"):
            pass
    except OSError as error:
        raise ManifestError(
            f"cannot read {path}: {error.strerror}", hint=f"pass the path of a file of kind {' or '.join(kinds)}"
        ) from error
    try:
        text = read_utf8(sidecar)
    except FileNotFoundError as error:
        raise ManifestError(f"{path} has no manifest beside it, {sidecar.name}", hint=_where_from(path)) from error
    except OSError as error:
        raise ManifestError(f"cannot read {sidecar}: {error.strerror}", hint=_where_from(path)) from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{sidecar} is not an rtseg manifest (not UTF-8 text)") from error
    try:
        manifest = Manifest.from_json(json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError, OverflowError, SpecError, ManifestError) as error:  # ValueError: not JSON
        raise ManifestError(f"{sidecar} is not an rtseg manifest ({error})") from error
    require_kind(path, manifest, kinds)
    return manifest


def _where_from(path: PathLike) -> str:
    """Return what to try for a file without a manifest."""
    together = "copy both, the file and its manifest"
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        return f"run {import_command(path)} (or what its author says) if another exporter wrote it; else {together}"
    graph = Path(path).with_suffix(".xml")
    if suffix == ".bin" and manifest_path(graph).exists():
        return f"pass {graph}, whose constants are in this file"
    if suffix in (".pth", ".pt", ".ckpt", ".tar", ".bin"):
        return f"run rtseg import-checkpoint NETWORK {path} --classes NAME|N"
    return together


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def require_kind(path: PathLike, manifest: Manifest, kinds: Collection[str]) -> None:
    """Raise ManifestError unless the manifest is of one of those kinds."""
    if manifest.kind not in kinds:
        raise ManifestError(f"{path} is another kind of artifact", got=manifest.kind, expected=" or ".join(kinds))


COPY_AGAIN = "copy the file and its manifest again, or repeat the command that wrote them"


def require_digest(path: PathLike, manifest: Manifest, digest: str) -> None:
    """Raise ManifestError, with the way to a good file, unless the digest matches the manifest."""
    if manifest.sha256 != digest:
        raise ManifestError(
            f"{path} does not match its manifest",
            got=f"sha256 {digest[:12]}",
            expected=f"sha256 {manifest.sha256[:12]}",
            hint=_way_to_mend(manifest),
        )


def _way_to_mend(manifest: Manifest) -> str:
    if manifest.kind == "checkpoint":
        return f"get a fresh copy, or run rtseg train {manifest.network}"
    if manifest.kind == "engine":
        return f"run rtseg build ONNX --precision {manifest.precision}"
    if manifest.kind == "openvino":
        return "run rtseg build ONNX --runtime openvino"
    return COPY_AGAIN


_TOOLS = (
    "rtseg",
    "numpy",
    "torch",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx",
)


def tool_versions() -> dict[str, str]:
    """Return the versions of the installed tools that make or run artifacts."""
    versions = {"python": platform.python_version()}
    for package in _TOOLS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
