"""What turns a graph into an engine: the two products behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from rtseg.artifacts.files import PathLike
from rtseg.engines.lowering.versions import FLAGS, RTX
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.platform import PURPOSE, Platform
from rtseg.engines.progress import BuildProgress
from rtseg.engines.settings import BuildSettings
from rtseg.errors import MissingDependencyError

if TYPE_CHECKING:
    from rtseg.engines.lowering.versions import Capability


class Compiler(ABC):
    """One product, and what it builds for."""

    platform: Platform

    @abstractmethod
    def ready(self, path: PathLike, precision: str) -> ReadyGraph:
        """Return the file's graph as this compiler wants it for that precision. Raises what ready_from raises."""

    def remarks(self, settings: BuildSettings) -> tuple[str, ...]:
        """Return in words which of these settings do nothing here. Raises EngineError for those that cannot be met."""
        return ()

    @abstractmethod
    def build(self, ready: ReadyGraph, settings: BuildSettings, progress: BuildProgress) -> Plan:
        """Return the engine of a graph that is ready.

        Raises EngineError where the compiler refuses, and KeyboardInterrupt where progress was cancelled.
        """


def ready_from(path: PathLike, precision: str, form: str, capabilities: Collection[Capability] = ()) -> ReadyGraph:
    """Return the file's graph lowered into a form of rtseg.engines.lowering, so that what builds it needs no onnx.

    ONNX Runtime gives the same with both, or it is noted that it is not there. Raises MissingDependencyError without
    onnx, OnnxError for the file, QuantizationError for a precision that the file, or the form, does not have, and
    RunnerError where the lowered graph computes something else.
    """
    try:
        from rtseg.engines.lowering.comparison import compared_with_file
        from rtseg.engines.lowering.lower import lower
        from rtseg.graphs.canonical import read_canonical
    except ModuleNotFoundError as error:
        extra = "rtx" if form == RTX else "gpu"
        raise MissingDependencyError(str(error.name), extra=extra, purpose=PURPOSE) from error
    lowered = lower(read_canonical(path), precision, form, capabilities=capabilities)
    return ReadyGraph(
        lowered.model.SerializeToString(),
        precision,
        lowered.form != FLAGS,
        lowered.builder_flags,
        lowered.account,
        lowered.source_sha256,
        lowered.sha256,
        lowered.products,
        compared_with_file(lowered, Path(path)),
    )
