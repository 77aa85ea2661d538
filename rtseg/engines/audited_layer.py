"""One layer of an engine with its kind of work, its precision and its time."""

from __future__ import annotations

from dataclasses import dataclass

from rtseg.engines.inspector import EngineLayer


@dataclass(frozen=True)
class AuditedLayer:
    """A layer with its kind of work and its precision (layer_precision); ms is None if it was not timed."""

    layer: EngineLayer
    work: str
    precision: str
    ms: float | None
