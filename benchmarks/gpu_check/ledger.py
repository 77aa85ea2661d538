"""The ledger: one JSON file, written whole after every task, from which a second run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtseg.artifacts.files import PathLike, write_text_atomically
from rtseg.errors import ArtifactError

ROOT = Path(__file__).resolve().parents[2]
FORMAT = "rtseg-gpu-check/1"

DONE = "done"
FAILED = "failed"
UNFINISHED = "unfinished"
"""Ended because the time was up; what it had found out by then is in the entry."""

SKIPPED = "skipped"
"""Nothing here could do it."""

MEASURED = (
    "benchmarks/gpu_check/agreement.py",
    "benchmarks/gpu_check/engine_task.py",
    "benchmarks/gpu_check/timing.py",
    "benchmarks/gpu_check/torch_task.py",
    "rtseg/accuracy",
    "rtseg/artifacts",
    "rtseg/benchmarking",
    "rtseg/engines",
    "rtseg/frame",
    "rtseg/native/frame_ends.cu",
    "rtseg/networks",
    "rtseg/runners",
    "rtseg/specs",
)
"""What decides the result of a task: when it changes, the task is done again."""


@dataclass(frozen=True)
class Entry:
    """What became of one task.

    identity says what was measured where; a result counts for no other. attempts counts the times it was started.
    problem says in one line why it is not done. facts is the task's own account.
    """

    status: str
    identity: Mapping[str, Any]
    attempts: int = 1
    problem: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def is_of(self, identity: Mapping[str, Any]) -> bool:
        """Return whether the entry agrees with all that is known of an identity."""
        return all(self.identity.get(name) == value for name, value in identity.items())


class Ledger:
    """The entries by the names of their tasks, in order, and what belongs to all of them."""

    def __init__(self, path: PathLike) -> None:
        """Read the file where there is one. Raises ArtifactError where it is no ledger."""
        self.path = Path(path)
        self.entries: dict[str, Entry] = {}
        if not self.path.exists():
            return
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"its format is {data['format']!r}")
            self.entries = {name: Entry(**values) for name, values in data["entries"].items()}
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"{self.path} is not a ledger of a GPU check ({error})", hint="-o with another name"
            ) from error

    def write(self, facts: Mapping[str, Any], order: Sequence[str]) -> None:
        """Write the entries, in that order, and those facts, whole or not at all. Raises WriteError.

        Each entry is one line, raw samples and all: a file that can be compared line by line.
        """
        self.entries = {name: self.entries[name] for name in order if name in self.entries}
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in facts.items()]
        entries = [f"  {json.dumps(name)}: {json.dumps(asdict(entry))}" for name, entry in self.entries.items()]
        lines.append('"entries": {\n' + ",\n".join(entries) + "\n}")
        text = "{\n" + ",\n".join([f'"format": {json.dumps(FORMAT)}', *lines]) + "\n}\n"
        write_text_atomically(self.path, text)


def code_sha256(root: Path = ROOT) -> str:
    """Return a digest of the sources below root that decide what a task finds."""
    digest = hashlib.sha256()
    for name in MEASURED:
        path = root / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{source.relative_to(root).as_posix()}\0".encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()
