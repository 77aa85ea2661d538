"""From a file of rtseg to an engine, with manifest and layers beside it.

A build has two halves: making the graph ready, which needs onnx, and compiling it, which does not; with TensorRT, whose
second half needs a GPU, graphs can be made ready on one machine and built on another.

An engine gets its name when it is proven. One whose convolutions and matrix products are not in the precision that was
asked for keeps no name unless the caller insists: a script that goes on after an error, or a deployment that looks for
the newest file, would take an FP32 engine for the FP16 one it asked for. The minutes are not lost, as it stays in the
store, from which the same request with keep_anyway takes it at once. Where the text of TensorRT's inspector cannot be
read nothing speaks against the engine: it gets its name, and that it is not proven is told and written in the manifest.
Of TensorRT for RTX the builder's log is all the proof there is, and one that cannot be read is an error.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtseg.artifacts import (
    Manifest,
    PathLike,
    manifest_path,
    read_manifest,
    require_writable,
    written_atomically,
)
from rtseg.cuda.registry import DEFAULT
from rtseg.engines.compiler import Compiler, ready_from
from rtseg.engines.compilers import chosen_compiler, tensorrt_compiler
from rtseg.engines.engine_file import BuiltEngine, write_engine
from rtseg.engines.interruption import run_interruptibly
from rtseg.engines.layers_file import layers_beside
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.profile import BuildProfile
from rtseg.engines.progress import BuildProgress
from rtseg.engines.proof import PrecisionProof, prove_precision
from rtseg.engines.store import EngineKey, EngineStore
from rtseg.engines.target import PURPOSE
from rtseg.errors import EngineError, MissingDependencyError, WriteError
from rtseg.lowering.versions import target_for_version
from rtseg.tensorrt.module import RTX

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
    runtime: str | None = None,
    capabilities: Sequence[str] = (),
    profile: BuildProfile | None = None,
    cuda: str = DEFAULT,
    store: EngineStore | None = None,
    observer: BuildObserver | None = None,
    keep_anyway: bool = False,
    keep_graph: PathLike | None = None,
) -> BuiltEngine:
    """Build the engine of an exported or quantised file.

    precision is fp32, fp16 or int8, by default the file's own; how the graph is made fit for it is rtseg.lowering's
    business. runtime is "tensorrt", for the GPU of this machine, or "tensorrt-rtx", for the compute capabilities named
    ("8.9", ...), for all from 8.6 on where none is. Without a runtime it is the one that this machine can, and the
    observer is told which and why. output is by default a name beside the file that says all this. keep_graph is where
    the graph that the compiler is given is written, as ONNX. The rest is compile_engine's.

    A file that lost its manifest is taken if it states its contracts in its metadata.

    Raises MissingDependencyError and CudaError where what the runtime needs is missing, what Compiler.ready and
    compile_engine raise, ManifestError for the file, and OnnxError for one that states no contracts.
    """
    source, observer = Path(path), observer or BuildObserver()
    manifest = _source_manifest(source, observer)
    precision = precision or manifest.precision
    compiler = chosen_compiler(runtime, capabilities, cuda, observer.note)
    ready = compiler.ready(source, precision)
    engine = Path(output) if output is not None else compiler.target.default_name(source, precision)
    _require_other_files(source, engine)
    if keep_graph is not None:
        _keep_graph(ready, Path(keep_graph), source, engine)
    return compile_engine(
        compiler, ready, manifest, engine, profile=profile, store=store, observer=observer, keep_anyway=keep_anyway
    )


def ready_graph(path: PathLike, precision: str, release: str) -> ReadyGraph:
    """Return the file's graph as that release of TensorRT, such as "10.3.0", wants it for that precision.

    Raises MissingDependencyError without onnx, OnnxError for the file, QuantizationError for a precision that the file
    does not have, and SpecError for a release that is none.
    """
    return ready_from(path, precision, target_for_version(release))


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
    """Build the engine of a graph that ready_graph made, with this machine's TensorRT and GPU. Needs no onnx.

    Raises MissingDependencyError and CudaError where TensorRT or a GPU is missing, and what compile_engine raises.
    """
    compiler = tensorrt_compiler(cuda)
    return compile_engine(
        compiler, ready, parent, output, profile=profile, store=store, observer=observer, keep_anyway=keep_anyway
    )


def compile_engine(
    compiler: Compiler,
    ready: ReadyGraph,
    parent: Manifest,
    output: PathLike,
    *,
    profile: BuildProfile | None = None,
    store: EngineStore | None = None,
    observer: BuildObserver | None = None,
    keep_anyway: bool = False,
) -> BuiltEngine:
    """Build the engine of a graph that is ready. parent is the manifest of the file that the graph was made from.

    Engine, manifest and the JSON about its layers are written together, or not at all. An engine that store has for the
    same graph, precision, profile and target is not built again.

    Raises EngineError where the compiler refuses or where what it built is not what was asked for, unless keep_anyway,
    WriteError, and KeyboardInterrupt. TensorRT before 10 cannot be stopped: there an interrupted build goes on in the
    background, for nothing, until the process ends.
    """
    engine, profile, observer = Path(output), profile or BuildProfile(), observer or BuildObserver()
    key = EngineKey.of(ready, profile, compiler.target)
    for path in (engine, manifest_path(engine), layers_beside(engine)):
        require_writable(path)
    store = store or EngineStore()
    plan = store.find(key)
    found = kept = plan is not None
    if plan is None:
        plan = _built(compiler, ready, profile, observer)
        kept = _kept(store, key, plan, observer)
    for note in plan.notes:
        observer.note(note)
    rtx = compiler.target.runtime == RTX  # of which nothing but the proof speaks for an engine
    proof = prove_precision(plan.layers, ready.precision, must_be_readable=rtx)
    _tell(proof, observer)
    if (proof.verdict.failures or (rtx and proof.verdict.undecided)) and not keep_anyway:
        raise _not_as_asked(proof, engine, kept=kept)
    return write_engine(engine, plan, parent, key, ready, proof, from_store=found)


def _keep_graph(ready: ReadyGraph, path: Path, source: Path, engine: Path) -> None:
    taken = (source, manifest_path(source), engine, manifest_path(engine), layers_beside(engine))
    if path.resolve() in {other.resolve() for other in taken}:
        raise EngineError(f"the graph would overwrite {path}", hint="--keep-graph with another name")
    with written_atomically(path) as part:
        part.write_bytes(ready.graph)


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


def _built(compiler: Compiler, ready: ReadyGraph, profile: BuildProfile, observer: BuildObserver) -> Plan:
    progress, started = BuildProgress(), time.monotonic()

    def tick() -> None:
        observer.progress(progress, time.monotonic() - started)

    def interrupt() -> bool:
        progress.cancel()
        return progress.heard

    return run_interruptibly(lambda: compiler.build(ready, profile, progress), tick=tick, interrupt=interrupt)


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
