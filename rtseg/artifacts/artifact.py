"""The artifact: one rtseg file, verified once, that passes from stage to stage."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Union

from rtseg.artifacts.details import OpenVinoDetails
from rtseg.artifacts.files import PathLike, read_bytes
from rtseg.artifacts.manifest import (
    KINDS,
    Manifest,
    manifest_path,
    read_manifest,
    read_sidecar,
    require_digest,
    require_kind,
    require_weights_digest,
    unreadable_weights,
    weights_path,
)
from rtseg.errors import ManifestError, SpecError

CHECKPOINT_SUFFIX = ".safetensors"


class Made(Protocol):
    """The result of a stage that makes an artifact."""

    @property
    def artifact(self) -> Artifact:
        """The artifact."""


@dataclass(frozen=True, repr=False)
class Artifact:
    """A checkpoint, an ONNX file, an engine or an OpenVINO model, with its manifest.

    `Artifact.open` compares the file's digest with the manifest's. A stage that gets an Artifact does not compare it
    again unless the file has changed since; a stage that gets a path opens it first.

    Example: artifact = Artifact.open("affnet.onnx", kind="onnx"); artifact.manifest.precision
    """

    path: Path
    manifest: Manifest
    _seen: tuple[int, ...] | None = field(init=False, compare=False, default=None)
    """How the file system described the file when it was verified or written: if this changes, so has the file."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_seen", _described(self.path))

    def __repr__(self) -> str:
        kind, network, image = self.manifest.kind, self.manifest.network, self.manifest.image
        return f"Artifact({str(self.path)!r}, {kind}: {network} {image.resolution} {self.manifest.precision})"

    @classmethod
    def open(cls, source: ArtifactLike, *, kind: str | Collection[str] = KINDS) -> Artifact:
        """Return the verified artifact at a path; an Artifact, or the artifact of a stage's result, is returned as is.

        Raises ManifestError if the file is missing, is of another kind, or does not match its manifest.
        """
        given = artifact_or_path(source)
        if isinstance(given, Artifact):
            require_kind(given.path, given.manifest, (kind,) if isinstance(kind, str) else kind)
            given._require_unchanged()
            return given
        return cls(given, read_manifest(given, kind=kind))

    @classmethod
    def claimed(cls, source: ArtifactLike, *, kind: str | Collection[str] = KINDS) -> Artifact:
        """Return the artifact at a path without comparing its digest: for a caller that uses `content` next.

        Raises ManifestError as `open` does, except for the digest.
        """
        given = artifact_or_path(source)
        if isinstance(given, Artifact):
            return cls.open(given, kind=kind)
        return cls(given, read_sidecar(given, kind=kind))

    def _require_unchanged(self) -> None:
        """Raise ManifestError if the file's content has changed since it was verified."""
        if _described(self.path) != self._seen:
            require_digest(self.path, self.manifest, read_manifest(self.path, kind=KINDS).sha256)

    def verified(self) -> Artifact:
        """Return the artifact after comparing its digest. Raises ManifestError."""
        return Artifact.open(self.path, kind=self.manifest.kind)

    def content(self) -> bytes:
        """Return the bytes of the file, read once and verified. Raises ManifestError if they do not match."""
        try:
            content = read_bytes(self.path)
        except OSError as error:
            raise ManifestError(f"cannot read {self.path}: {error.strerror}") from error
        require_digest(self.path, self.manifest, hashlib.sha256(content).hexdigest())
        return content

    def weights(self) -> bytes:
        """Return the constants of an OpenVINO model, which are in the file beside it, read once and verified.

        Raises ManifestError if they do not match, and for another kind of artifact.
        """
        self.manifest.details_as(OpenVinoDetails)
        try:
            content = read_bytes(weights_path(self.path))
        except OSError as error:
            raise unreadable_weights(self.path, self.manifest, error) from error
        require_weights_digest(self.path, self.manifest, hashlib.sha256(content).hexdigest())
        return content

    def to_json(self) -> dict[str, Any]:
        """Return path and manifest as plain values."""
        return {"path": str(self.path), "manifest": self.manifest.to_json()}


def _described(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


ArtifactLike = Union[Artifact, Made, PathLike]
"""What every stage accepts: an artifact, the result of the stage that made it, or a path."""


def is_of_rtseg(source: ArtifactLike) -> bool:
    """Return whether source is an artifact, or a path whose file has a manifest beside it.

    A missing file counts as one if its name is that of an rtseg checkpoint.
    """
    given = artifact_or_path(source)
    if isinstance(given, Artifact) or manifest_path(given).exists():
        return True
    return given.suffix == CHECKPOINT_SUFFIX and not given.exists()


def artifact_or_path(source: ArtifactLike) -> Artifact | Path:
    """Return the artifact, given alone or in a result, else the path. Raises SpecError for anything else."""
    given: Any = getattr(source, "artifact", source)
    if isinstance(given, Artifact):
        return given
    try:
        return Path(given)
    except TypeError as error:
        raise SpecError(
            "not an artifact", got=type(source).__name__, expected="a path, an Artifact, or the result of a stage"
        ) from error
