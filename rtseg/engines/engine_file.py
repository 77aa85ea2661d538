"""Write an engine to disk: the plan, its manifest, and the text of TensorRT's inspector beside them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from rtseg.artifacts.details import EngineDetails
from rtseg.artifacts.files import written_together
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.engines.engine_cache import EngineKey
from rtseg.engines.layers_file import layers_beside
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.proof import PrecisionProof
from rtseg.engines.verdict import EngineVerdict


@dataclass(frozen=True)
class BuiltEngine:
    """The engine's file, its manifest, the inspector's file, and the proof of its precision.

    from_cache is True if the engine was built earlier and taken from the cache.
    """

    path: Path
    manifest: Manifest
    layers: Path
    proof: PrecisionProof
    from_cache: bool

    @property
    def verdict(self) -> EngineVerdict:
        """Whether the convolutions and matrix products are in the requested precision."""
        return self.proof.verdict


def write_engine(
    engine: Path,
    plan: Plan,
    parent: Manifest,
    key: EngineKey,
    ready: ReadyGraph,
    proof: PrecisionProof,
    *,
    from_cache: bool,
) -> BuiltEngine:
    """Write an engine, its manifest and its layers, all or none. parent is the manifest of the source file.

    Raises WriteError.
    """
    platform, layers = key.platform, layers_beside(engine)
    manifest = replace(
        parent,
        kind="engine",
        precision=key.precision,
        parent_sha256=parent.sha256,
        device=platform.device_words,
        tools=platform.tools,
        details=_details(plan, parent, key, ready, proof),
    )
    with written_together(engine, manifest_path(engine), layers) as (part, sidecar, layers_part):
        part.write_bytes(plan.content)
        layers_part.write_text(plan.layers, encoding="utf-8")
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return BuiltEngine(engine, manifest, layers, proof, from_cache)


def _details(plan: Plan, parent: Manifest, key: EngineKey, ready: ReadyGraph, proof: PrecisionProof) -> EngineDetails:
    return EngineDetails(
        **key.platform.details(),
        typed=key.typed,
        builder_flags=key.builder_flags,
        lowering=ready.account,
        rewriting=ready.rewriting,
        source_sha256=ready.source_sha256,
        lowered_sha256=ready.sha256,
        layers_sha256=hashlib.sha256(plan.layers.encode("utf-8")).hexdigest(),
        settings=key.settings.to_json(),
        audit=proof.to_json(),
        notes=tuple(plan.notes),
        build_seconds=round(plan.seconds, 3),
        grandparent_sha256=parent.parent_sha256,
    )
