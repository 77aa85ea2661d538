"""One layer of an engine with what it does, in which precision, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

from rtseg.engines.inspector import EngineLayer


@dataclass(frozen=True)
class AuditedLayer:
    """A layer with what it does and in which precision (layer_precision); ms is None where it was not timed."""

    layer: EngineLayer
    work: str
    precision: str
    ms: float | None
