"""What turns a graph into an engine: the two products behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING

from rtseg.artifacts import PathLike
from rtseg.engines.plan import Plan, ReadyGraph
from rtseg.engines.profile import BuildProfile
from rtseg.engines.progress import BuildProgress
from rtseg.engines.target import PURPOSE, EngineTarget
from rtseg.errors import MissingDependencyError

if TYPE_CHECKING:
    from rtseg.lowering.versions import Capability


class Compiler(ABC):
    """One product, and what it builds for."""

    target: EngineTarget

    @abstractmethod
    def ready(self, path: PathLike, precision: str) -> ReadyGraph:
        """Return the file's graph as this compiler wants it for that precision. Raises what ready_from raises."""

    @abstractmethod
    def build(self, ready: ReadyGraph, profile: BuildProfile, progress: BuildProgress) -> Plan:
        """Return the engine of a graph that is ready.

        Raises EngineError where the compiler refuses, and KeyboardInterrupt where progress was cancelled.
        """


def ready_from(path: PathLike, precision: str, target: str, capabilities: Collection[Capability] = ()) -> ReadyGraph:
    """Return the file's graph lowered for a target of rtseg.lowering, so that what builds it needs no onnx.

    Raises MissingDependencyError without onnx, OnnxError for the file, and QuantizationError for a precision that the
    file, or the target, does not have.
    """
    try:
        from rtseg.graphs.canonical import read_canonical
        from rtseg.lowering.lower import lower
        from rtseg.lowering.versions import FLAGS
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), extra="cpu", purpose=PURPOSE) from error
    lowered = lower(read_canonical(path), precision, target, capabilities=capabilities)
    return ReadyGraph(
        lowered.model.SerializeToString(),
        precision,
        lowered.target != FLAGS,
        lowered.builder_flags,
        lowered.account,
        lowered.source_sha256,
        lowered.sha256,
        lowered.products,
    )
