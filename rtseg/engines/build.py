"""From a file of rtseg to an engine of the TensorRT and GPU at hand, with manifest and layers beside it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtseg.artifacts import (
    Manifest,
    PathLike,
    manifest_path,
    read_manifest,
    require_writable,
    write_manifest,
    written_together,
)
from rtseg.cuda.protocol import CudaDriver
from rtseg.cuda.registry import DEFAULT, open_cuda
from rtseg.engines.builder import build_plan
from rtseg.engines.features import tensorrt_release
from rtseg.engines.inspector import layers_beside
from rtseg.engines.interruption import run_interruptibly
from rtseg.engines.plan import Plan, PlanRequest
from rtseg.engines.profile import BuildProfile
from rtseg.engines.progress import BuildProgress
from rtseg.engines.store import EngineKey, EngineStore
from rtseg.engines.target import BuildTarget, build_target
from rtseg.engines.timing_cache import timing_cache_path
from rtseg.errors import EngineError, MissingDependencyError, WriteError

if TYPE_CHECKING:
    from rtseg.lowering.lower import Lowered

PURPOSE = "building an engine"


class BuildObserver:
    """Told of what happens; override what is of interest."""

    def progress(self, state: BuildProgress, elapsed_seconds: float) -> None:
        """Tell how far the build is, several times a second."""

    def note(self, text: str) -> None:
        """Tell what is out of the ordinary, in words."""


@dataclass(frozen=True)
class BuiltEngine:
    """The engine's file, its manifest, the inspector's file, and whether it came out of the store of earlier builds."""

    path: Path
    manifest: Manifest
    layers: Path
    from_store: bool


def build_engine(
    path: PathLike,
    output: PathLike | None = None,
    *,
    precision: str | None = None,
    profile: BuildProfile | None = None,
    cuda: str = DEFAULT,
    store: EngineStore | None = None,
    observer: BuildObserver | None = None,
) -> BuiltEngine:
    """Build the engine of an exported or quantised file for the TensorRT and the GPU of this machine.

    precision is fp32, fp16 or int8, by default the file's own; how the graph is made fit for it is rtseg.lowering's
    business. output is by default NAME.PRECISION.trtVERSION-smNN.engine beside the file. Engine, manifest and
    the inspector's JSON are written together, or not at all. An engine that store has for the same graph, precision,
    profile, TensorRT and GPU is not built again.

    Raises MissingDependencyError and CudaError where TensorRT or a GPU is missing, ManifestError and OnnxError for the
    file, QuantizationError for a precision that the file does not have, EngineError where TensorRT refuses, WriteError,
    and KeyboardInterrupt. TensorRT before 10 cannot be stopped: there an interrupted build goes on in the background,
    for nothing, until the process ends.
    """
    source, profile, observer = Path(path), profile or BuildProfile(), observer or BuildObserver()
    manifest = read_manifest(source, kind="onnx")
    precision = precision or manifest.precision
    tensorrt_release(PURPOSE)
    driver = open_cuda(cuda)
    target = build_target(driver)
    lowered = lowered_graph(source, precision, target.tensorrt)
    engine = Path(output) if output is not None else target.default_name(source, precision)
    _require_other_files(source, engine)
    require_writable(engine)
    key = EngineKey(lowered.sha256, precision, lowered.target == "typed", lowered.builder_flags, profile, target)
    store = store or EngineStore()
    plan = store.find(key)
    found = plan is not None
    if plan is None:
        plan = _built(driver, key, lowered, observer)
        try:
            store.keep(key, plan)
        except WriteError as error:
            observer.note(f"the same request will be built again: {error}")
    for note in plan.notes:
        observer.note(note)
    return write_engine(engine, plan, manifest, key, lowered, from_store=found)


def lowered_graph(path: Path, precision: str, release: str) -> Lowered:
    """Return the graph as that TensorRT wants it. Raises MissingDependencyError without onnx, and what lower raises."""
    try:
        from rtseg.graphs.canonical import read_canonical
        from rtseg.lowering.lower import lower
        from rtseg.lowering.versions import target_for_version
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), extra="cpu", purpose=PURPOSE) from error
    return lower(read_canonical(path), precision, target_for_version(release))


def write_engine(
    engine: Path, plan: Plan, parent: Manifest, key: EngineKey, lowered: Lowered, *, from_store: bool
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
        device=f"{target.device} ({target.architecture})",
        tools={"tensorrt": target.tensorrt},
        details=_details(plan, parent, key, lowered),
    )
    with written_together(engine, manifest_path(engine), layers) as (part, sidecar, layers_part):
        part.write_bytes(plan.content)
        layers_part.write_text(plan.layers, encoding="utf-8")
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return BuiltEngine(engine, manifest, layers, from_store)


def _built(driver: CudaDriver, key: EngineKey, lowered: Lowered, observer: BuildObserver) -> Plan:
    target, progress, started = key.target, BuildProgress(), time.monotonic()
    times = timing_cache_path(target.tensorrt, target.device, target.compute_capability)
    request = PlanRequest(
        lowered.model.SerializeToString(),
        key.typed,
        key.builder_flags,
        key.profile,
        times if key.profile.timing_cache else None,
    )

    def work() -> Plan:
        with driver.active():  # a context is current in one thread, and this is another one
            return build_plan(request, progress)

    def tick() -> None:
        observer.progress(progress, time.monotonic() - started)

    def interrupt() -> bool:
        progress.cancel()
        return progress.heard

    return run_interruptibly(work, tick=tick, interrupt=interrupt)


def _details(plan: Plan, parent: Manifest, key: EngineKey, lowered: Lowered) -> Mapping[str, Any]:
    target: BuildTarget = key.target
    return {
        "tensorrt": target.tensorrt,
        "device": target.device,
        "compute_capability": "{}.{}".format(*target.compute_capability),
        "typed": key.typed,
        "builder_flags": list(key.builder_flags),
        "lowering": lowered.account,
        "source_sha256": lowered.source_sha256,
        "lowered_sha256": lowered.sha256,
        "layers_sha256": hashlib.sha256(plan.layers.encode("utf-8")).hexdigest(),
        "profile": key.profile.to_json(),
        "notes": list(plan.notes),
        "build_seconds": round(plan.seconds, 3),
        "from": parent.parent_sha256,
    }


def _require_other_files(source: Path, engine: Path) -> None:
    given = {source.resolve(), manifest_path(source).resolve()}
    if given & {path.resolve() for path in (engine, manifest_path(engine), layers_beside(engine))}:
        raise EngineError(f"the engine would overwrite {source}", hint="-o with another name")
