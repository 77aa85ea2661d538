"""Cache of built engines; its key is everything that decides what is built.

The key is graph, precision, builder flags, settings, product, release and GPU. Settings that the product ignores are
not part of it, so that the same engine is not built twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtseg.artifacts.cache import Cache
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.platform import Platform
from rtseg.engines.settings import BuildSettings

FORMAT = "rtseg-engine-cache/1"
KEPT = 32
"""Number of engines kept, newest first; each takes some ten megabytes."""


@dataclass(frozen=True)
class EngineKey:
    """Everything that decides which engine is built. lowered_sha256 is the digest of the graph that TensorRT parses."""

    lowered_sha256: str
    precision: str
    typed: bool
    builder_flags: tuple[str, ...]
    settings: BuildSettings
    platform: Platform

    @classmethod
    def of(cls, ready: ReadyGraph, settings: BuildSettings, platform: Platform) -> EngineKey:
        """Return the key of that graph's engine."""
        return cls(ready.sha256, ready.precision, ready.typed, ready.builder_flags, settings, platform)

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the key as plain values."""
        ignored = self.platform.ignored_settings
        return {
            "lowered_sha256": self.lowered_sha256,
            "precision": self.precision,
            "typed": self.typed,
            "builder_flags": list(self.builder_flags),
            "settings": {name: value for name, value in self.settings.to_json().items() if name not in ignored},
            "platform": self.platform.to_json(),
        }


class EngineCache:
    """A folder of engines, by default the user's cache."""

    def __init__(self, folder: Path | None = None, *, keep: int = KEPT) -> None:
        self._cache = Cache("engines", ".plan", keep=keep, folder=folder)

    def path(self, key: EngineKey) -> Path:
        """Return the path for the engine of that key. The file holds one line of JSON, then the engine's bytes."""
        return self._cache.path([FORMAT, key.to_json()], label=f"{key.platform.suffix}-{key.precision}")

    def find(self, key: EngineKey) -> Plan | None:
        """Return the engine that was built for exactly that key, or None."""
        line, _, engine = (self._cache.read(self.path(key)) or b"").partition(b"\n")
        try:
            facts = json.loads(line)
            if facts["key"] != key.to_json():
                return None
            return Plan(engine, facts["layers"], tuple(facts["notes"]), float(facts["seconds"]))
        except (ValueError, KeyError, TypeError):  # an intact file with other content
            return None

    def keep(self, key: EngineKey, plan: Plan) -> None:
        """Keep an engine for later requests with the same key, and drop the oldest. Raises WriteError."""
        facts = {"key": key.to_json(), "layers": plan.layers, "notes": plan.notes, "seconds": plan.seconds}
        self._cache.write(self.path(key), json.dumps(facts).encode("ascii") + b"\n" + plan.content)
