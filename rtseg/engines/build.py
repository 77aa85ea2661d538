"""From a file of rtseg to an engine of the TensorRT and GPU at hand, with manifest and layers beside it.

A build has two halves: ready_graph, which needs onnx, and build_ready, which needs TensorRT and a GPU and no onnx, so
that graphs can be made ready on one machine and built on another.

An engine gets its name when it is proven. One whose convolutions and matrix products are not in the precision that was
asked for keeps no name unless the caller insists: a script that goes on after an error, or a deployment that looks for
the newest file, would take an FP32 engine for the FP16 one it asked for. The minutes are not lost, as it stays in the
store, from which the same request with keep_anyway takes it at once. Where the inspector's text cannot be read nothing
speaks against the engine: it gets its name, and that it is not proven is told and written in the manifest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtseg.artifacts import Manifest, PathLike, manifest_path, read_manifest, require_writable
from rtseg.cuda.protocol import CudaDriver
from rtseg.cuda.registry import DEFAULT, open_cuda
from rtseg.engines.builder import build_plan
from rtseg.engines.engine_file import BuiltEngine, write_engine
from rtseg.engines.inspector import layers_beside
from rtseg.engines.interruption import run_interruptibly
from rtseg.engines.plan import Plan, PlanRequest, ReadyGraph
from rtseg.engines.profile import BuildProfile
from rtseg.engines.progress import BuildProgress
from rtseg.engines.proof import PrecisionProof, prove_precision
from rtseg.engines.store import EngineKey, EngineStore
from rtseg.engines.target import build_target
from rtseg.engines.timing_cache import timing_cache_path
from rtseg.errors import EngineError, MissingDependencyError, WriteError
from rtseg.tensorrt.release import tensorrt_release

PURPOSE = "building an engine"
KEEP_ANYWAY = "the same with --keep-anyway"


class BuildObserver:
    """Told of what happens; override what is of interest."""

    def progress(self, state: BuildProgress, elapsed_seconds: float) -> None:
        """Tell how far the build is, several times a second."""

    def note(self, text: str) -> None:
        """Tell what is out of the ordinary, in words."""

    def counted(self, shares: Mapping[str, Any]) -> None:
        """Tell what the finished engine computes in which precision (Audit.shares), before it gets its name."""


def build_engine(
    path: PathLike,
    output: PathLike | None = None,
    *,
    precision: str | None = None,
    profile: BuildProfile | None = None,
    cuda: str = DEFAULT,
    store: EngineStore | None = None,
    observer: BuildObserver | None = None,
    keep_anyway: bool = False,
) -> BuiltEngine:
    """Build the engine of an exported or quantised file for the TensorRT and the GPU of this machine.

    precision is fp32, fp16 or int8, by default the file's own; how the graph is made fit for it is rtseg.lowering's
    business. output is by default NAME.PRECISION.trtVERSION-smNN.engine beside the file. The rest is build_ready's.

    A file that lost its manifest is taken if it states its contracts in its metadata.

    Raises what ready_graph and build_ready raise, ManifestError for the file, and OnnxError for one that states none.
    """
    source, observer = Path(path), observer or BuildObserver()
    manifest = _source_manifest(source, observer)
    precision = precision or manifest.precision
    tensorrt_release(PURPOSE)
    driver = open_cuda(cuda)  # stays open, so that build_ready finds the device's context as it is
    target = build_target(driver)
    ready = ready_graph(source, precision, target.tensorrt)
    engine = Path(output) if output is not None else target.default_name(source, precision)
    _require_other_files(source, engine)
    return build_ready(
        ready,
        manifest,
        engine,
        profile=profile,
        cuda=cuda,
        store=store,
        observer=observer,
        keep_anyway=keep_anyway,
    )


def ready_graph(path: PathLike, precision: str, release: str) -> ReadyGraph:
    """Return the file's graph as that release of TensorRT, such as "10.3.0", wants it for that precision.

    Raises MissingDependencyError without onnx, OnnxError for the file, QuantizationError for a precision that the file
    does not have, and SpecError for a release that is none.
    """
    try:
        from rtseg.graphs.canonical import read_canonical
        from rtseg.lowering.lower import lower
        from rtseg.lowering.versions import TYPED, target_for_version
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), extra="cpu", purpose=PURPOSE) from error
    lowered = lower(read_canonical(path), precision, target_for_version(release))
    return ReadyGraph(
        lowered.model.SerializeToString(),
        precision,
        lowered.target == TYPED,
        lowered.builder_flags,
        lowered.account,
        lowered.source_sha256,
        lowered.sha256,
    )


def build_ready(
    ready: ReadyGraph,
    parent: Manifest,
    output: PathLike,
    *,
    profile: BuildProfile | None = None,
    cuda: str = DEFAULT,
    store: EngineStore | None = None,
    observer: BuildObserver | None = None,
    keep_anyway: bool = False,
) -> BuiltEngine:
    """Build the engine of a graph that is ready. parent is the manifest of the file that the graph was made from.

    Engine, manifest and the inspector's JSON are written together, or not at all. An engine that store has for the same
    graph, precision, profile, TensorRT and GPU is not built again. Needs no onnx.

    Raises MissingDependencyError and CudaError where TensorRT or a GPU is missing, EngineError where TensorRT refuses
    or where what it built is not what was asked for, unless keep_anyway, WriteError, and KeyboardInterrupt. TensorRT
    before 10 cannot be stopped: there an interrupted build goes on in the background, for nothing, until the process
    ends.
    """
    engine, profile, observer = Path(output), profile or BuildProfile(), observer or BuildObserver()
    tensorrt_release(PURPOSE)
    driver = open_cuda(cuda)
    key = EngineKey.of(ready, profile, build_target(driver))
    require_writable(engine)
    store = store or EngineStore()
    plan = store.find(key)
    found = kept = plan is not None
    if plan is None:
        plan = _built(driver, key, ready, observer)
        kept = _kept(store, key, plan, observer)
    for note in plan.notes:
        observer.note(note)
    proof = prove_precision(plan.layers, ready.precision)
    _tell(proof, observer)
    if proof.verdict.failures and not keep_anyway:
        raise _not_as_asked(proof, engine, kept=kept)
    return write_engine(engine, plan, parent, key, ready, proof, from_store=found)


def _source_manifest(source: Path, observer: BuildObserver) -> Manifest:
    """Return the file's manifest; where it has none, the one that its metadata states."""
    if manifest_path(source).exists() or not source.is_file():
        return read_manifest(source, kind="onnx")
    try:
        from rtseg.graphs.contract import stated_manifest
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), extra="cpu", purpose=PURPOSE) from error
    manifest = stated_manifest(source)
    observer.note(f"{source} has no manifest: its contracts are read off its metadata (rtseg import-onnx writes one)")
    return manifest


def _built(driver: CudaDriver, key: EngineKey, ready: ReadyGraph, observer: BuildObserver) -> Plan:
    target, progress, started = key.target, BuildProgress(), time.monotonic()
    times = timing_cache_path(target.tensorrt, target.device, target.compute_capability)
    request = PlanRequest(
        ready.graph, key.typed, key.builder_flags, key.profile, times if key.profile.timing_cache else None
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


def _kept(store: EngineStore, key: EngineKey, plan: Plan, observer: BuildObserver) -> bool:
    """Keep an engine in the store; where that fails say so and return False."""
    try:
        store.keep(key, plan)
    except WriteError as error:
        observer.note(f"the same request will be built again: {error}")
        return False
    return True


def _tell(proof: PrecisionProof, observer: BuildObserver) -> None:
    if proof.shares is not None:
        observer.counted(proof.shares)
    for notice in proof.verdict.notices:
        observer.note(notice)
    if proof.verdict.undecided:
        observer.note(f"whether this is {proof.verdict.request} is not proven: {proof.verdict.undecided}")


def _not_as_asked(proof: PrecisionProof, engine: Path, *, kept: bool) -> EngineError:
    state = "it stays in the cache" if kept else "it is lost"
    return EngineError(f"{proof.verdict.sentence()}. The engine is not written to {engine}; {state}", hint=KEEP_ANYWAY)


def _require_other_files(source: Path, engine: Path) -> None:
    given = {source.resolve(), manifest_path(source).resolve()}
    if given & {path.resolve() for path in (engine, manifest_path(engine), layers_beside(engine))}:
        raise EngineError(f"the engine would overwrite {source}", hint="-o with another name")
