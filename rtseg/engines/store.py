"""Engines that were built before, found by everything that decides what is built.

The name of an entry is the digest of its key: graph, precision, builder flags, profile, product, release and GPU. What
is found is compared with the digests that were written beside it; anything less than whole counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtseg.artifacts import cache_folder, written_together
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.profile import BuildProfile
from rtseg.engines.target import EngineTarget

FORMAT = "rtseg-engine-store/1"
KEPT = 32
"""Engines that stay, the newest; each takes some ten megabytes."""


@dataclass(frozen=True)
class EngineKey:
    """What decides which engine is built. lowered_sha256 is of the graph as TensorRT parses it."""

    lowered_sha256: str
    precision: str
    typed: bool
    builder_flags: tuple[str, ...]
    profile: BuildProfile
    target: EngineTarget

    @classmethod
    def of(cls, ready: ReadyGraph, profile: BuildProfile, target: EngineTarget) -> EngineKey:
        """Return the key of that graph's engine."""
        return cls(ready.sha256, ready.precision, ready.typed, ready.builder_flags, profile, target)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "lowered_sha256": self.lowered_sha256,
            "precision": self.precision,
            "typed": self.typed,
            "builder_flags": list(self.builder_flags),
            "profile": self.profile.to_json(),
            "target": self.target.to_json(),
        }

    def digest(self) -> str:
        """Return the name of the entry."""
        return hashlib.sha256(json.dumps([FORMAT, self.to_json()], sort_keys=True).encode()).hexdigest()


class EngineStore:
    """A folder of engines, the user's cache unless said otherwise."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "engines"

    def find(self, key: EngineKey) -> Plan | None:
        """Return the engine that was built for exactly that, or None."""
        engine, layers, facts_path = self._paths(key)
        try:
            facts = json.loads(facts_path.read_text(encoding="utf-8"))
            content, told = engine.read_bytes(), layers.read_bytes()
            whole = facts["engine_sha256"] == _sha256(content) and facts["layers_sha256"] == _sha256(told)
            if not whole or facts["key"] != key.to_json():
                return None
            plan = Plan(content, told.decode("utf-8"), tuple(facts["notes"]), float(facts["seconds"]))
            os.utime(engine)  # the entries that are used stay
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return plan

    def keep(self, key: EngineKey, plan: Plan) -> None:
        """Keep an engine for the next request of the same, and drop the oldest. Raises WriteError."""
        told = plan.layers.encode("utf-8")
        facts = {
            "format": FORMAT,
            "key": key.to_json(),
            "engine_sha256": _sha256(plan.content),
            "layers_sha256": _sha256(told),
            "notes": list(plan.notes),
            "seconds": plan.seconds,
        }
        with written_together(*self._paths(key)) as (engine, layers, facts_path):
            engine.write_bytes(plan.content)
            layers.write_bytes(told)
            facts_path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        self._drop_the_oldest()

    def _paths(self, key: EngineKey) -> tuple[Path, Path, Path]:
        digest = key.digest()
        return (
            self.folder / f"{digest}.engine",
            self.folder / f"{digest}.layers.json",
            self.folder / f"{digest}.key.json",
        )

    def _drop_the_oldest(self) -> None:
        with contextlib.suppress(OSError):  # another process may drop the same
            engines = sorted(self.folder.glob("*.engine"), key=lambda path: path.stat().st_mtime, reverse=True)
            for engine in engines[KEPT:]:
                for path in (engine, engine.with_suffix(".layers.json"), engine.with_suffix(".key.json")):
                    path.unlink()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
