"""One interface to the two products that compile a graph into an engine: TensorRT and TensorRT for RTX."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from rtseg.artifacts.files import PathLike
from rtseg.engines.lowering.versions import FLAGS, RTX
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.platform import PURPOSE, Platform
from rtseg.engines.progress import BuildProgress
from rtseg.engines.settings import BuildSettings
from rtseg.errors import MissingDependencyError, OnnxError, RunnerError
from rtseg.observer import SILENT, Observer

if TYPE_CHECKING:
    from rtseg.engines.lowering.versions import Capability
    from rtseg.engines.rewriting.choice import Rewriter, Rewriting


class Compiler(ABC):
    """One product and the platform that it builds for."""

    platform: Platform

    @abstractmethod
    def ready(self, path: PathLike, precision: str, *, rewrite: bool = True, observer: Observer = SILENT) -> ReadyGraph:
        """Return the file's graph, prepared for this compiler and that precision. Raises what ready_from raises.

        rewrite applies the graph passes that save time (engines.rewriting); observer receives the progress of choosing
        them.
        """

    def remarks(self, settings: BuildSettings) -> tuple[str, ...]:
        """Return one sentence for each setting without effect here. Raises EngineError for an impossible setting."""
        return ()

    @abstractmethod
    def build(self, ready: ReadyGraph, settings: BuildSettings, progress: BuildProgress) -> Plan:
        """Return the engine of a prepared graph.

        Raises EngineError if the compiler refuses, and KeyboardInterrupt if progress was cancelled.
        """


def carried_over() -> Rewriter:
    """Return a rewriter with the graph passes that should also help TensorRT. It compiles nothing."""
    from rtseg.engines.rewriting.passes import carried_over_rewriter

    return carried_over_rewriter()


def ready_from(
    path: PathLike,
    precision: str,
    form: str,
    capabilities: Collection[Capability] = (),
    *,
    rewriter: Callable[[], Rewriter] | None = None,
) -> ReadyGraph:
    """Return the file's graph lowered into a form of rtseg.engines.lowering, so that building it needs no onnx.

    form is typed, flags or rtx (versions.form_for_release); capabilities are the compute capabilities to lower for,
    none for TensorRT.

    rewriter, if given, makes the object that applies graph passes before the lowering. ONNX Runtime computes the same
    with both graphs, or a note says why they were not compared. If it finds a difference after graph passes, the graph
    is lowered without them, and a note says so. Raises MissingDependencyError without onnx, OnnxError for the file,
    QuantizationError for a precision that the file or the form does not have, and RunnerError if the prepared graph
    computes something else.
    """
    try:
        from rtseg.engines.lowering.comparison import compared_with_file
        from rtseg.engines.lowering.lower import lower
        from rtseg.graphs.canonical import read_canonical
        from rtseg.graphs.identity import model_sha256
        from rtseg.graphs.macs import macs_by_node
        from rtseg.graphs.view import GraphView
    except ModuleNotFoundError as error:
        extra = "rtx" if form == RTX else "gpu"
        raise MissingDependencyError(str(error.name), extra=extra, purpose=PURPOSE) from error
    model = read_canonical(path)

    def ready(rewriting: Rewriting | None) -> ReadyGraph:
        written = model if rewriting is None else rewriting.model
        lowered = replace(lower(written, precision, form, capabilities=capabilities), source_sha256=model_sha256(model))
        macs = macs_by_node(GraphView(lowered.model)) if lowered.products else {}
        between = None if written is model or precision == "fp32" else written  # its own comparison is the tighter one
        return ReadyGraph(
            lowered.model.SerializeToString(),
            precision,
            lowered.form != FLAGS,
            lowered.builder_flags,
            lowered.account,
            lowered.source_sha256,
            lowered.sha256,
            lowered.products,
            compared_with_file(lowered, Path(path), rewritten=between),
            {} if rewriting is None else rewriting.to_json(),
            {name: count for name, count in macs.items() if name in lowered.products},
        )

    rewriting = None if rewriter is None else rewriter()(model)
    if rewriting is None or rewriting.model is model:
        return ready(rewriting)
    try:
        return ready(rewriting)
    except (OnnxError, RunnerError) as error:
        made = ready(None)
        return replace(made, notes=(f"built without graph passes: {error}", *made.notes))
