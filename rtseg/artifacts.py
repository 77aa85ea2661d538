"""A file and its manifest: what it is, where it came from, and proof that it is still the same.

Every artifact is a file plus the sidecar `<file>.json`. Both are written to temporary names in the
same folder, flushed to disk and renamed together, so a reader never meets half a file; a process killed
in between leaves at most hidden files with `.part` in their names. On load the digest is compared
before the file is parsed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Optional, Union

from rtseg.errors import ManifestError, SpecError, WriteError
from rtseg.specs import ImageSpec, OutputSpec, require_field_types

FORMAT = "rtseg/1"
KINDS = ("checkpoint", "onnx", "engine")
PathLike = Union[str, "os.PathLike[str]"]
Digest = Optional[str]
"""Hexadecimal SHA-256; None where there is nothing to take it of."""

_DIGEST_BYTES = hashlib.sha256().digest_size


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
    parent_sha256: Digest = None
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
        if not isinstance(data, Mapping):
            raise ManifestError("a manifest is an object", got=type(data).__name__)
        if missing := sorted(expected - set(data)):
            raise ManifestError("the manifest lacks fields", expected=", ".join(missing))
        if unknown := sorted(set(data) - expected):
            raise ManifestError("the manifest has unknown fields", got=", ".join(map(str, unknown)))
        values = dict(data)
        values["image"] = ImageSpec.from_json(values["image"])
        values["output"] = OutputSpec.from_json(values["output"])
        require_field_types(cls, values)
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
def written_together(*paths: PathLike) -> Iterator[tuple[Path, ...]]:
    """Give a temporary path beside each of `paths`; on leaving without an error they become `paths`.

    The temporary files are all flushed to disk before the first is renamed, and removed after an
    error. Missing folders are made. Raises WriteError for anything the file system refuses.
    """
    targets = [Path(path) for path in paths]
    parts: list[Path] = []
    try:
        parts += [_part_of(target) for target in targets]
        yield tuple(parts)
        for part in parts:
            with open(part, "rb+") as stream:
                os.fsync(stream.fileno())
        for part, target in zip(parts, targets):
            os.replace(part, target)
    except OSError as error:
        raise _refused(targets[0], error) from error
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink()


def _part_of(target: Path) -> Path:
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")


def _refused(target: Path, error: OSError) -> WriteError:
    return WriteError(f"cannot write {target}: {error.strerror or error}", hint="another folder, or free some space")


@contextlib.contextmanager
def written_atomically(path: PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it becomes `path`. Raises WriteError."""
    with written_together(path) as (part,):
        yield part


def require_writable(path: PathLike) -> None:
    """Raise WriteError where no file could be written at path: for work that takes long before it writes."""
    target = Path(path)
    try:
        part = _part_of(target)
        part.touch()
        part.unlink()
    except OSError as error:
        raise _refused(target, error) from error


def write_text_atomically(path: PathLike, text: str) -> None:
    """Write text as UTF-8 so that a reader sees the old content or the new, never a mixture."""
    with written_atomically(path) as part:
        part.write_text(text, encoding="utf-8")


def read_digested(path: PathLike) -> bytes:
    """Return what write_digested wrote, nothing where there is no file or where it is damaged."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return b""
    digest, kept = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return kept if hashlib.sha256(kept).digest() == digest else b""


def write_digested(path: PathLike, content: bytes) -> None:
    """Write a cache's bytes behind their digest, by which read_digested tells a damaged file. Raises WriteError."""
    with written_atomically(path) as part:
        part.write_bytes(hashlib.sha256(content).digest() + content)


def write_manifest(path: PathLike, manifest: Manifest, *, sidecar: Path | None = None) -> Manifest:
    """Write the sidecar of the finished file at path and return it with digest and tools filled in.

    A file that does not have its name yet says where its sidecar goes.
    """
    values = {entry.name: getattr(manifest, entry.name) for entry in fields(manifest)}
    values["sha256"] = sha256_of(path)
    values["tools"] = {**tool_versions(), **manifest.tools}
    complete = Manifest(**values)
    write_text_atomically(sidecar or manifest_path(path), json.dumps(complete.to_json(), indent=2) + "\n")
    return complete


def read_manifest(path: PathLike, *, kind: str | Collection[str]) -> Manifest:
    """Return the verified manifest of the artifact at path, which is of that kind or of one of those.

    Raises ManifestError when the file or its sidecar is missing or unreadable, tells of another kind
    of artifact, or carries another digest than the file has.
    """
    sidecar, kinds = manifest_path(path), (kind,) if isinstance(kind, str) else tuple(kind)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ManifestError(
            f"cannot read {path}: {error.strerror}", hint=f"the path of an {' or '.join(kinds)} file"
        ) from error
    try:
        text = sidecar.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(
            f"cannot read {sidecar}: {error.strerror}", hint="copy both; file and manifest travel together"
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{sidecar} is not a manifest of rtseg (not UTF-8 text)") from error
    try:
        manifest = Manifest.from_json(json.loads(text))
    except (ValueError, RecursionError, SpecError, ManifestError) as error:  # ValueError: not JSON
        raise ManifestError(f"{sidecar} is not a manifest of rtseg ({error})") from error
    if manifest.kind not in kinds:
        raise ManifestError(f"{path} is another kind of artifact", got=manifest.kind, expected=" or ".join(kinds))
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
    if manifest.kind == "engine":
        return f"rtseg build ONNX --precision {manifest.precision}"
    return f"rtseg export {manifest.network} --resolution {manifest.image.resolution}"


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
    """Return the versions of what made or ran something here, as far as installed."""
    versions = {"python": platform.python_version()}
    for package in _TOOLS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def cache_folder() -> Path:
    """Return where rtseg keeps what it can make again: RTSEG_CACHE, else the user's cache folder."""
    if configured := os.environ.get("RTSEG_CACHE"):
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rtseg"
