"""A file and its manifest: what it is, where it came from, and proof that it is still the same.

Every artifact is a file plus the sidecar `<file>.json`. Both are written to a temporary name in the
same folder, flushed to disk and renamed, so a reader never meets half a file; a process killed in
between leaves at most a hidden file with `.part` in its name. On load the digest is compared before anything is parsed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Union

from rtseg.errors import ManifestError, SpecError, WriteError
from rtseg.specs import ImageSpec, OutputSpec

FORMAT = "rtseg/1"
KINDS = ("checkpoint", "onnx")
PathLike = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Manifest:
    """The sidecar of one artifact. weights says in words where the parameters come from."""

    kind: str
    network: str
    options: Mapping[str, Any]
    weights: str
    precision: str
    image: ImageSpec
    output: OutputSpec
    sha256: str = ""
    parent_sha256: str | None = None
    device: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    format: str = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ManifestError("a manifest of another format", got=repr(self.format), expected=repr(FORMAT))
        if self.kind not in KINDS:
            raise ManifestError("unknown kind of artifact", got=repr(self.kind), expected=f"one of {', '.join(KINDS)}")

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as plain dicts, lists, strings and numbers."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["image"] = self.image.to_json()
        values["output"] = self.output.to_json()
        return values

    @classmethod
    def from_json(cls, data: object) -> Manifest:
        """Return the manifest that to_json described. Raises ManifestError or SpecError."""
        expected = {entry.name for entry in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != expected:
            got = sorted(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
            raise ManifestError("the fields of the manifest do not match", got=got, expected=sorted(expected))
        values = dict(data)
        values["image"] = ImageSpec.from_json(values["image"])
        values["output"] = OutputSpec.from_json(values["output"])
        return cls(**values)


def manifest_path(path: PathLike) -> Path:
    """Return the sidecar's path of the artifact at path."""
    return Path(f"{os.fspath(path)}.json")


def sha256_of(path: PathLike) -> str:
    """Return the hexadecimal SHA-256 of the file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def written_atomically(path: PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it becomes `path`.

    The temporary file is flushed to disk before the rename and removed after an error. Missing
    folders are made. Raises WriteError for anything the file system refuses.
    """
    target = Path(path)
    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder")
        yield part
        with open(part, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(part, target)
    except OSError as error:
        raise WriteError(
            f"cannot write {target}: {error.strerror or error}", hint="another folder, or free some space"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_text_atomically(path: PathLike, text: str) -> None:
    """Write text as UTF-8 so that a reader sees the old content or the new, never a mixture."""
    with written_atomically(path) as part:
        part.write_text(text, encoding="utf-8")


def write_manifest(path: PathLike, manifest: Manifest) -> Manifest:
    """Write the sidecar of the finished file at path and return it with digest and tools filled in."""
    values = {entry.name: getattr(manifest, entry.name) for entry in fields(manifest)}
    values["sha256"] = sha256_of(path)
    values["tools"] = {**tool_versions(), **manifest.tools}
    complete = Manifest(**values)
    write_text_atomically(manifest_path(path), json.dumps(complete.to_json(), indent=2) + "\n")
    return complete


def read_manifest(path: PathLike, *, kind: str) -> Manifest:
    """Return the verified manifest of the artifact at path.

    Raises ManifestError when the file or its sidecar is missing or unreadable, tells of another kind
    of artifact, or carries another digest than the file has.
    """
    sidecar = manifest_path(path)
    try:
        text = sidecar.read_text(encoding="utf-8")
        digest = sha256_of(path)
    except (OSError, UnicodeDecodeError) as error:
        missing = Path(path) if not Path(path).exists() else sidecar
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ManifestError(
            f"cannot read {missing}: {reason}", hint="export it again; file and manifest travel together"
        ) from error
    try:
        manifest = Manifest.from_json(json.loads(text))
    except (json.JSONDecodeError, SpecError, ManifestError) as error:
        raise ManifestError(f"{sidecar} is not a manifest of rtseg ({error})") from error
    if manifest.kind != kind:
        raise ManifestError(f"{path} is another kind of artifact", got=manifest.kind, expected=kind)
    if manifest.sha256 != digest:
        raise ManifestError(
            f"{path} is not the file its manifest tells of",
            got=f"sha256 {digest[:12]}",
            expected=f"sha256 {manifest.sha256[:12]}",
            hint=_remake_command(manifest),
        )
    return manifest


def _remake_command(manifest: Manifest) -> str:
    if manifest.kind == "checkpoint":
        return f"a fresh copy, or rtseg train {manifest.network}"
    return f"rtseg export {manifest.network} --resolution {manifest.image.resolution}"


def tool_versions() -> dict[str, str]:
    """Return the versions of what made or ran something here, as far as installed."""
    versions = {"python": platform.python_version()}
    for package in ("rtseg", "numpy", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def cache_folder() -> Path:
    """Return where rtseg keeps what it can make again: RTSEG_CACHE, else the user's cache folder."""
    if configured := os.environ.get("RTSEG_CACHE"):
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rtseg"
