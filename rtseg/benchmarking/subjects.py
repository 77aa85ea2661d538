"""The subject of a benchmark: a file with a runner, or why there is no such file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtseg.artifacts.artifact import Artifact
from rtseg.benchmarking.boundaries import boundaries_of
from rtseg.errors import CudaError, EngineError, MissingDependencyError, RtsegError

NO_DRIVER = "no driver"
_NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE."""


@dataclass(frozen=True)
class Obstacle:
    """Why something has no time: one or two words for a cell of a table, and the error message."""

    word: str
    reason: str

    @classmethod
    def of_making(cls, error: RtsegError) -> Obstacle:
        """Return the obstacle for an error while a file was made."""
        return cls(_word(error) or ("not built" if isinstance(error, EngineError) else "not made"), str(error))

    @classmethod
    def of_running(cls, error: RtsegError) -> Obstacle:
        """Return the obstacle for an error while a file was loaded or run."""
        return cls(_word(error) or "does not run", str(error))


@dataclass(frozen=True)
class Subject:
    """A network in one precision with one runner, and the interface of its graph.

    artifact is the file, None if obstacle says why none could be made. runner is a name in rtseg.runners.registry, None
    for the default runner of the file's kind. verdict is the result of an engine's audit (EngineVerdict.to_json), None
    for other files. file is the name of the file that the user gave, an artifact or a checkpoint; "" for none.
    """

    network: str
    weights: str
    resolution: str
    precision: str
    interface: str
    runner: str | None = None
    artifact: Artifact | None = None
    obstacle: Obstacle | None = None
    verdict: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    @classmethod
    def of(cls, artifact: Artifact, runner: str | None) -> Subject:
        """Return the subject for a file, as its manifest describes it."""
        manifest = artifact.manifest
        return cls(
            manifest.network,
            manifest.weights,
            str(manifest.image.resolution),
            manifest.precision,
            manifest.output.interface,
            runner,
            artifact,
            options=manifest.options,
            file=artifact.path.name,
        )

    @property
    def boundaries(self) -> tuple[str, ...]:
        """The names of the boundaries that can be timed for its graph."""
        return boundaries_of(self.interface)

    @property
    def is_trained(self) -> bool:
        """Whether its accuracy means anything: with random weights it does not."""
        return not self.weights.startswith("random")


def _word(error: RtsegError) -> str:
    """Return what is missing in one or two words, "" if something else went wrong."""
    if isinstance(error, CudaError):
        if error.code is None and "driver" in error.name:
            return NO_DRIVER
        return "no GPU" if error.code == _NO_DEVICE else "CUDA error"
    return "not installed" if isinstance(error, MissingDependencyError) else ""
