"""Build an engine from an rtseg ONNX file, with a manifest and a layer file beside it.

A build has two halves: prepare the graph, which needs onnx, and compile it, which does not. TensorRT's second half
needs a GPU, so one machine can prepare graphs and another can build them.

An engine gets its file name once its precision is proven. If its convolutions and matrix products are not in the
requested precision, the engine is not written unless the caller insists: a script that ignores an error, or a
deployment that picks the newest file, would otherwise take an FP32 engine for the requested FP16 one. The build time is
not lost: the engine stays in the cache, and the same request with keep_anyway takes it from there at once. If the text
of TensorRT's inspector cannot be read, nothing speaks against the engine: it is written, and a note and the manifest
say that its precision is not proven. For TensorRT for RTX the builder's log is the only proof, so a log that cannot be
read is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rtseg.artifacts.artifact import Artifact, ArtifactLike, artifact_or_path
from rtseg.artifacts.details import written_for
from rtseg.artifacts.files import PathLike, require_replaceable, require_writable, written_atomically
from rtseg.artifacts.manifest import Manifest, manifest_path
from rtseg.engines.compiler import Compiler, carried_over, ready_from
from rtseg.engines.compilers import chosen_compiler, tensorrt_compiler
from rtseg.engines.engine_cache import EngineCache, EngineKey
from rtseg.engines.engine_file import BuiltEngine, write_engine
from rtseg.engines.interruption import run_interruptibly
from rtseg.engines.layers_file import layers_beside
from rtseg.engines.lowering.versions import form_for_release
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.platform import PURPOSE
from rtseg.engines.progress import BuildProgress
from rtseg.engines.proof import PrecisionProof, prove_precision
from rtseg.engines.proof_words import account_text, shares_text
from rtseg.engines.rewriting_words import rewriting_text
from rtseg.engines.settings import BuildSettings
from rtseg.errors import EngineError, MissingDependencyError, WriteError
from rtseg.observer import SILENT, Observer
from rtseg.runners.cuda.registry import DEFAULT
from rtseg.runners.tensorrt.module import RTX

KEEP_ANYWAY = "run the same command with --keep-anyway"


FORM_HINT = "rtseg export --target tensorrt writes the one for GPUs"

TASK = "building"


def build_engine(
    source: ArtifactLike,
    output: PathLike | None = None,
    *,
    precision: str | None = None,
    runtime: str | None = None,
    capabilities: Sequence[str] = (),
    settings: BuildSettings | None = None,
    cuda: str = DEFAULT,
    cache: EngineCache | None = None,
    observer: Observer = SILENT,
    keep_anyway: bool = False,
    keep_graph: PathLike | None = None,
    rewrite: bool = True,
) -> BuiltEngine:
    """Build the engine of an exported or quantized file.

    precision is fp32, fp16 or int8, by default the file's own; lowering.lower shows how the graph is prepared for each.
    runtime is "tensorrt", for the GPU of this machine, or "tensorrt-rtx", for the compute capabilities given ("8.9",
    ...) or, if none is given, for all from 8.6 on. Without a runtime, the function uses one that this machine has, and
    the observer gets a note that names it and the reason. rewrite applies the passes of engines.rewriting to the graph
    first; for TensorRT for RTX only those that its account shows to save time. output is by default a name beside the
    file that states runtime and precision. keep_graph is a path for the graph that the compiler receives, as ONNX. All
    other parameters are those of compile_engine.

    A file without its manifest is accepted if its metadata states its contracts.

    Raises MissingDependencyError and CudaError if the runtime lacks what it needs, ManifestError for a bad manifest,
    OnnxError for a file that states no contracts, and whatever Compiler.ready and compile_engine raise.
    """
    require_replaceable(*(given for given in (output, keep_graph) if given is not None))
    path, manifest = opened_source(source, observer)
    precision = precision or manifest.precision
    compiler = chosen_compiler(runtime, capabilities, cuda, observer)
    engine = Path(output) if output is not None else compiler.platform.default_name(path, precision)
    _require_other_files(path, engine)
    if keep_graph is not None:
        _require_another_file(Path(keep_graph), path, engine)
    ready = compiler.ready(path, precision, rewrite=rewrite, observer=observer)
    if keep_graph is not None:
        with written_atomically(Path(keep_graph)) as part:
            part.write_bytes(ready.graph)
    if written_for(manifest.details) == "cpu":
        ready = replace(ready, notes=(f"{path} has the form for a CPU; {FORM_HINT}", *ready.notes))
    return compile_engine(
        compiler, ready, manifest, engine, settings=settings, cache=cache, observer=observer, keep_anyway=keep_anyway
    )


def ready_graph(path: PathLike, precision: str, release: str, *, rewrite: bool = True) -> ReadyGraph:
    """Return the file's graph, prepared for that precision and that TensorRT release, such as "10.3.0".

    rewrite applies the graph passes whose reasons also hold for TensorRT.

    Raises MissingDependencyError without onnx, OnnxError for the file, QuantizationError for a precision that the file
    does not have, and SpecError for an invalid release.
    """
    return ready_from(path, precision, form_for_release(release), rewriter=carried_over if rewrite else None)


def build_ready(
    ready: ReadyGraph,
    parent: Manifest,
    output: PathLike,
    *,
    settings: BuildSettings | None = None,
    cuda: str = DEFAULT,
    cache: EngineCache | None = None,
    observer: Observer = SILENT,
    keep_anyway: bool = False,
) -> BuiltEngine:
    """Build the engine of a graph that ready_graph made, with this machine's TensorRT and GPU. Needs no onnx.

    Raises MissingDependencyError and CudaError if TensorRT or a GPU is missing, and whatever compile_engine raises.
    """
    compiler = tensorrt_compiler(cuda)
    return compile_engine(
        compiler, ready, parent, output, settings=settings, cache=cache, observer=observer, keep_anyway=keep_anyway
    )


def compile_engine(
    compiler: Compiler,
    ready: ReadyGraph,
    parent: Manifest,
    output: PathLike,
    *,
    settings: BuildSettings | None = None,
    cache: EngineCache | None = None,
    observer: Observer = SILENT,
    keep_anyway: bool = False,
) -> BuiltEngine:
    """Build the engine of a prepared graph. parent is the manifest of the file that the graph was made from.

    Engine, manifest and the JSON file of its layers are written together, or not at all. If cache has an engine for the
    same graph, precision, settings and platform, that one is used.

    Raises EngineError if the compiler refuses, or if the engine is not in the requested precision and keep_anyway is
    False; WriteError; and KeyboardInterrupt. TensorRT before 10 cannot be stopped: an interrupted build continues in
    the background, uselessly, until the process ends.
    """
    engine, settings = Path(output), settings or BuildSettings()
    key = EngineKey.of(ready, settings, compiler.platform)
    require_writable(engine, manifest_path(engine), layers_beside(engine))
    cache = cache or EngineCache()
    remarks = compiler.remarks(settings)
    plan = cache.find(key)
    found = kept = plan is not None
    if plan is None:
        plan = _built(compiler, ready, settings, observer)
        kept = _kept(cache, key, plan, observer)
    rewriting = filter(None, [rewriting_text(ready.rewriting)])
    plan = replace(plan, notes=(*rewriting, *ready.notes, *remarks, *plan.notes))
    for note in plan.notes:
        observer.note(note)
    rtx = compiler.platform.runtime == RTX  # the proof is the only evidence about a TensorRT for RTX engine
    proof = prove_precision(plan.layers, ready.precision, must_be_readable=rtx)
    _tell(proof, observer)
    if (proof.verdict.failures or (rtx and proof.verdict.undecided)) and not keep_anyway:
        raise _not_as_asked(proof, engine, kept=kept)
    return write_engine(engine, plan, parent, key, ready, proof, from_cache=found)


def _require_another_file(path: Path, source: Path, engine: Path) -> None:
    taken = (source, manifest_path(source), engine, manifest_path(engine), layers_beside(engine))
    if path.resolve() in {other.resolve() for other in taken}:
        raise EngineError(f"the graph would overwrite {path}", hint="choose another name with --keep-graph")


def opened_source(given: ArtifactLike, observer: Observer) -> tuple[Path, Manifest]:
    """Return path and manifest of an ONNX file; without a manifest file, return the manifest stated in its metadata.

    Raises ManifestError, OnnxError for a file that states no contracts, and MissingDependencyError without onnx.
    """
    source = artifact_or_path(given)
    if isinstance(source, Artifact) or manifest_path(source).exists() or not source.is_file():
        artifact = Artifact.open(source, kind="onnx")
        return artifact.path, artifact.manifest
    try:
        from rtseg.graphs.contract import stated_manifest
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), extra="rtx", purpose=PURPOSE) from error
    manifest = stated_manifest(source)
    observer.note(f"{source} has no manifest: its contracts are read from its metadata (rtseg import-onnx writes one)")
    return source, manifest


def _built(compiler: Compiler, ready: ReadyGraph, settings: BuildSettings, observer: Observer) -> Plan:
    progress = BuildProgress()

    def tick() -> None:
        observer.progress(TASK, round(100 * progress.fraction()), 100 if progress.heard else None, progress.phase[:60])

    def interrupt() -> bool:
        progress.cancel()
        return progress.heard

    plan = run_interruptibly(lambda: compiler.build(ready, settings, progress), tick=tick, interrupt=interrupt)
    observer.progress(TASK, 100, 100)
    return plan


def _kept(cache: EngineCache, key: EngineKey, plan: Plan, observer: Observer) -> bool:
    """Keep an engine in the cache. If that fails, note it and return False."""
    try:
        cache.keep(key, plan)
    except WriteError as error:
        observer.note(f"the same request will be built again: {error}")
        return False
    return True


def _tell(proof: PrecisionProof, observer: Observer) -> None:
    if proof.shares is not None:
        observer.note(shares_text(proof.shares))
        observer.note(account_text(proof.shares["account"]))
    for notice in proof.verdict.notices:
        observer.note(notice)
    if proof.verdict.undecided:
        observer.note(f"the precision {proof.verdict.request} is not proven: {proof.verdict.undecided}")


def _not_as_asked(proof: PrecisionProof, engine: Path, *, kept: bool) -> EngineError:
    state = "it stays in the cache" if kept else "it is lost"
    return EngineError(f"{proof.verdict.sentence()}. The engine is not written to {engine}; {state}", hint=KEEP_ANYWAY)


def _require_other_files(source: Path, engine: Path) -> None:
    given = {source.resolve(), manifest_path(source).resolve()}
    if given & {path.resolve() for path in (engine, manifest_path(engine), layers_beside(engine))}:
        raise EngineError(f"the engine would overwrite {source}", hint="choose another name with -o")
