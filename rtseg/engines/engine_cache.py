"""Engines that were built before, found by everything that decides what is built.

The key is graph, precision, builder flags, settings, product, release and GPU. Of the settings it leaves out what the
product does nothing with, so that the same engine is not built twice.
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
"""Engines that stay, the newest; each takes some ten megabytes."""


@dataclass(frozen=True)
class EngineKey:
    """What decides which engine is built. lowered_sha256 is of the graph as TensorRT parses it."""

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
        """Return what decides as plain values."""
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
    """A folder of engines, the user's cache unless said otherwise."""

    def __init__(self, folder: Path | None = None, *, keep: int = KEPT) -> None:
        self._cache = Cache("engines", ".plan", keep=keep, folder=folder)

    def path(self, key: EngineKey) -> Path:
        """Return where the engine of that key lies: a line of JSON that says all of it, and the engine's bytes."""
        return self._cache.path([FORMAT, key.to_json()], label=f"{key.platform.suffix}-{key.precision}")

    def find(self, key: EngineKey) -> Plan | None:
        """Return the engine that was built for exactly that, or None."""
        line, _, engine = (self._cache.read(self.path(key)) or b"").partition(b"\n")
        try:
            facts = json.loads(line)
            if facts["key"] != key.to_json():
                return None
            return Plan(engine, facts["layers"], tuple(facts["notes"]), float(facts["seconds"]))
        except (ValueError, KeyError, TypeError):  # whole, but of something else
            return None

    def keep(self, key: EngineKey, plan: Plan) -> None:
        """Keep an engine for the next request of the same, and drop the oldest. Raises WriteError."""
        facts = {"key": key.to_json(), "layers": plan.layers, "notes": plan.notes, "seconds": plan.seconds}
        self._cache.write(self.path(key), json.dumps(facts).encode("ascii") + b"\n" + plan.content)
