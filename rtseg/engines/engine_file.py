"""An engine on disk: the plan, its manifest, and beside them what TensorRT's inspector tells of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtseg.artifacts import Manifest, manifest_path, write_manifest, written_together
from rtseg.engines.layers_file import layers_beside
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.proof import PrecisionProof
from rtseg.engines.store import EngineKey
from rtseg.engines.verdict import EngineVerdict


@dataclass(frozen=True)
class BuiltEngine:
    """The engine's file, its manifest, the inspector's file, and the proof of its precision.

    from_store says that it was built before and came out of the store.
    """

    path: Path
    manifest: Manifest
    layers: Path
    proof: PrecisionProof
    from_store: bool

    @property
    def verdict(self) -> EngineVerdict:
        """Whether the convolutions and matrix products are in the precision that was asked for."""
        return self.proof.verdict


def write_engine(
    engine: Path,
    plan: Plan,
    parent: Manifest,
    key: EngineKey,
    ready: ReadyGraph,
    proof: PrecisionProof,
    *,
    from_store: bool,
) -> BuiltEngine:
    """Write an engine, its manifest and its layers, all or none. parent is the manifest of the file it was built from.

    Raises WriteError.
    """
    target, layers = key.target, layers_beside(engine)
    manifest = replace(
        parent,
        kind="engine",
        precision=key.precision,
        parent_sha256=parent.sha256,
        device=target.device_words,
        tools=target.tools,
        details=_details(plan, parent, key, ready, proof),
    )
    with written_together(engine, manifest_path(engine), layers) as (part, sidecar, layers_part):
        part.write_bytes(plan.content)
        layers_part.write_text(plan.layers, encoding="utf-8")
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return BuiltEngine(engine, manifest, layers, proof, from_store)


def _details(
    plan: Plan, parent: Manifest, key: EngineKey, ready: ReadyGraph, proof: PrecisionProof
) -> Mapping[str, Any]:
    return {
        **key.target.details(),
        "typed": key.typed,
        "builder_flags": list(key.builder_flags),
        "lowering": ready.account,
        "source_sha256": ready.source_sha256,
        "lowered_sha256": ready.sha256,
        "layers_sha256": hashlib.sha256(plan.layers.encode("utf-8")).hexdigest(),
        "profile": key.profile.to_json(),
        "audit": proof.to_json(),
        "notes": list(plan.notes),
        "build_seconds": round(plan.seconds, 3),
        "from": parent.parent_sha256,
    }
