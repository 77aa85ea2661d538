"""What turns a graph into an engine: the two products behind one interface."""

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
from rtseg.errors import MissingDependencyError

if TYPE_CHECKING:
    from rtseg.engines.lowering.versions import Capability
    from rtseg.engines.rewriting.choice import Rewriter


class Compiler(ABC):
    """One product, and what it builds for."""

    platform: Platform

    @abstractmethod
    def ready(self, path: PathLike, precision: str, *, rewrite: bool = True) -> ReadyGraph:
        """Return the file's graph as this compiler wants it for that precision. Raises what ready_from raises.

        With rewrite it has been through the graph passes that pay (engines.rewriting).
        """

    def remarks(self, settings: BuildSettings) -> tuple[str, ...]:
        """Return in words which of these settings do nothing here. Raises EngineError for those that cannot be met."""
        return ()

    @abstractmethod
    def build(self, ready: ReadyGraph, settings: BuildSettings, progress: BuildProgress) -> Plan:
        """Return the engine of a graph that is ready.

        Raises EngineError where the compiler refuses, and KeyboardInterrupt where progress was cancelled.
        """


def carried_over() -> Rewriter:
    """Return what puts a graph through the passes whose reasons hold for TensorRT too. Nothing is compiled."""
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
    """Return the file's graph lowered into a form of rtseg.engines.lowering, so that what builds it needs no onnx.

    rewriter, if any, gives what puts it through graph passes before that. ONNX Runtime gives the same with both,
    or a note says why that was not compared. Raises MissingDependencyError without onnx, OnnxError for the file,
    QuantizationError for a precision that the file, or the form, does not have, and RunnerError where the graph that
    is ready computes something else.
    """
    try:
        from rtseg.engines.lowering.comparison import compared_with_file
        from rtseg.engines.lowering.lower import lower
        from rtseg.graphs.canonical import read_canonical
        from rtseg.graphs.identity import model_sha256
    except ModuleNotFoundError as error:
        extra = "rtx" if form == RTX else "gpu"
        raise MissingDependencyError(str(error.name), extra=extra, purpose=PURPOSE) from error
    model = read_canonical(path)
    rewriting = None if rewriter is None else rewriter()(model)
    written = model if rewriting is None else rewriting.model
    lowered = replace(lower(written, precision, form, capabilities=capabilities), source_sha256=model_sha256(model))
    between = None if written is model or precision == "fp32" else written  # whose own comparison is the closer one
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
    )
